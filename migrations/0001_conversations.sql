-- A conversation is everything said with one contact of a tenant.

create table conversations (
    id uuid not null,
    tenant text not null,
    token text not null,
    number bigint not null,
    external_id text not null,
    contact_name text,
    contact_username text,
    contact_photo_url text,
    contact_seq bigint not null default 0,
    channel_kind text,
    channel_id text,
    channel_number text,
    channel_account_id text,
    channel_seq bigint not null default 0,
    started_at timestamptz,
    ai_active boolean not null default false,
    personality_id uuid,
    no_ac_ai boolean not null default false,
    unread_count integer not null default 0,
    last_message_id uuid,
    last_message_at timestamptz,
    last_seq bigint not null default 0,
    last_out_seq bigint not null default 0,
    awaiting_seq bigint,
    awaiting_reply_since timestamptz,
    version bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint conversations_pkey primary key (id),
    constraint conversations_tenant_token_key unique (tenant, token),
    constraint conversations_tenant_number_key unique (tenant, number),
    constraint conversations_unread_count_check check (unread_count >= 0)
) with (fillfactor = 70);

-- Serves both the list, newest first, and the question what changed since a position.
create index conversations_tenant_last_seq_idx on conversations (tenant, last_seq desc);

comment on table conversations is 'Everything said with one contact of a tenant';
comment on column conversations.id is 'UUID version 5 of tenant and token';
comment on column conversations.token is 'The name in subjects, made of the contact''s canonical address';
comment on column conversations.number is 'The top 53 bits of the id, for front ends that number conversations';
comment on column conversations.external_id is 'The address as WhatsApp clients write it';
comment on column conversations.contact_seq is 'Position of the message the contact''s names were taken from';
comment on column conversations.channel_id is 'WhatsApp: phone number id of the Graph API, or the id of the session';
comment on column conversations.channel_seq is 'Position of the message the channel was taken from';
comment on column conversations.ai_active is 'The built-in bot answers here';
comment on column conversations.no_ac_ai is 'The bot was told to keep out, whatever ai_active says';
comment on column conversations.last_seq is 'Position of the newest message; 0 while only statuses are known, then it is listed nowhere';
comment on column conversations.last_out_seq is 'Position of the newest message to the contact';
comment on column conversations.awaiting_seq is 'Position of the contact''s first unanswered message';
comment on column conversations.awaiting_reply_since is 'When the contact''s first unanswered message came in';
comment on column conversations.version is 'Grows with every change: of two states the higher is the newer';
