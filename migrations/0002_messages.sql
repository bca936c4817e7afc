-- Messages, one row each however often they were delivered to us.

create table messages (
    id uuid not null,
    tenant text not null,
    conversation_id uuid not null,
    sender_type text not null,
    message_type text not null,
    text_content text,
    media_url text,
    interactions jsonb not null default '[]',
    direction text not null,
    channel text,
    provider_id text,
    status_rank smallint not null default 0,
    status text generated always as (
        case status_rank
            when 10 then 'queued'
            when 20 then 'sending'
            when 30 then 'uncertain'
            when 40 then 'accepted'
            when 50 then 'sent'
            when 60 then 'failed'
            when 70 then 'delivered'
            when 80 then 'read'
            when 90 then 'played'
        end
    ) stored,
    seq bigint not null,
    event bytea not null,
    created_at timestamptz not null,
    received_at timestamptz not null,
    constraint messages_pkey primary key (tenant, id),
    constraint messages_conversation_id_fkey foreign key (conversation_id) references conversations (id),
    constraint messages_direction_check check (direction in ('in', 'out'))
) with (fillfactor = 90);

-- A provider that delivers a message twice must not make two of it.
create unique index messages_tenant_provider_id_key on messages (tenant, provider_id) where provider_id is not null;
-- Pages of a conversation, and what happened in it since a position.
create index messages_conversation_id_seq_idx on messages (conversation_id, seq);
-- What happened in a tenant since a position.
create index messages_tenant_seq_idx on messages (tenant, seq);

comment on table messages is 'Messages from and to contacts';
comment on column messages.sender_type is 'user (the contact), ai, agent, system';
comment on column messages.direction is 'in (from the contact), out';
comment on column messages.provider_id is 'The provider''s id of the message (Cloud API: wamid)';
comment on column messages.status_rank is 'How far the message got, as a number that only grows';
comment on column messages.seq is 'Position in the stream MESSAGES';
comment on column messages.event is 'The message exactly as it went over the bus (protobuf chasqui.v1.Message); the columns beside it are for searching';
comment on column messages.created_at is 'When it was written, by the provider''s clock';
comment on column messages.received_at is 'When it entered the pipeline';
