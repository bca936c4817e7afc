-- Every step a message took, also of messages that are not stored yet.

create table message_statuses (
    id uuid not null,
    tenant text not null,
    conversation_id uuid not null,
    message_id uuid not null,
    provider_message_id text,
    status_rank smallint not null,
    seq bigint not null,
    event bytea not null,
    occurred_at timestamptz not null,
    constraint message_statuses_pkey primary key (tenant, id)
);

-- A message takes over what is known of it when it arrives after its status.
create index message_statuses_tenant_message_id_idx on message_statuses (tenant, message_id);
create index message_statuses_tenant_provider_message_id_idx on message_statuses (tenant, provider_message_id)
    where provider_message_id is not null;
-- What happened in a conversation or tenant since a position.
create index message_statuses_conversation_id_seq_idx on message_statuses (conversation_id, seq);
create index message_statuses_tenant_seq_idx on message_statuses (tenant, seq);

comment on table message_statuses is 'The steps of messages on their way';
comment on column message_statuses.message_id is 'Our id of the message; where only the provider''s is known, UUID version 5 of that';
comment on column message_statuses.status_rank is 'The step as its number in messages.status_rank';
comment on column message_statuses.seq is 'Position in the stream MESSAGES';
comment on column message_statuses.event is 'The status exactly as it went over the bus (protobuf chasqui.v1.MessageStatus)';
