-- Where events of the tenants are posted, and how that went.

create table listeners (
    tenant text not null,
    id uuid not null,
    url text not null,
    events text[] not null,
    format text not null,
    sealed_secrets text[] not null,
    disabled boolean not null default false,
    disabled_reason text not null default '',
    description text not null default '',
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint listeners_pkey primary key (tenant, id),
    constraint listeners_directory_key_key unique (directory_key),
    constraint listeners_format_check check (format in ('client', 'chasqui', 'cloud_api')),
    constraint listeners_sealed_secrets_check check (cardinality(sealed_secrets) between 1 and 3)
);

-- One row a delivery: its last attempt.
create table webhook_deliveries (
    tenant text not null,
    id text not null,
    position bigint not null generated always as identity,
    listener uuid not null,
    event text not null,
    seq bigint not null,
    attempts integer not null,
    outcome text not null,
    http_status integer not null,
    error text not null,
    duration_ms integer not null,
    first_attempted_at timestamptz not null,
    last_attempted_at timestamptz not null,
    next_at timestamptz,
    constraint webhook_deliveries_pkey primary key (tenant, id),
    constraint webhook_deliveries_outcome_check check (outcome in ('delivered', 'retrying', 'failed'))
) with (fillfactor = 80);

-- Pages of a listener, all of it or of one outcome, and of a tenant; newest first.
create index webhook_deliveries_tenant_listener_position_idx on webhook_deliveries (tenant, listener, position);
create index webhook_deliveries_tenant_listener_outcome_position_idx
    on webhook_deliveries (tenant, listener, outcome, position);
create index webhook_deliveries_tenant_position_idx on webhook_deliveries (tenant, position);
-- What is old enough to be forgotten.
create index webhook_deliveries_last_attempted_at_idx on webhook_deliveries (last_attempted_at);

alter table phone_numbers add column messages_per_second_max integer not null default 0;
alter table phone_numbers add constraint phone_numbers_messages_per_second_max_check
    check (messages_per_second_max >= 0);

comment on table listeners is 'Where events of the tenants are posted';
comment on column listeners.id is 'UUID, version 5 of tenant and URL';
comment on column listeners.events is 'Names of events; none is message.received';
comment on column listeners.format is 'How it wants its events: client, chasqui, cloud_api';
comment on column listeners.sealed_secrets is 'What its events are signed with, sealed; the newest first';
comment on column listeners.disabled_reason is 'gone (it answered 410), failing, operator';
comment on column listeners.directory_key is 'Where the KV bucket keeps the entry';
comment on table webhook_deliveries is 'Events that were posted to listeners, one row a delivery: its last attempt';
comment on column webhook_deliveries.id is 'The same over every attempt and replay';
comment on column webhook_deliveries.position is 'The order of first attempts: the place in lists';
comment on column webhook_deliveries.listener is 'Its id; the row stays when the listener is removed';
comment on column webhook_deliveries.seq is 'Position of the event in its stream; 0 for a test event';
comment on column webhook_deliveries.outcome is 'delivered, retrying, failed (given up)';
comment on column webhook_deliveries.http_status is 'The answer''s status; 0 where none came';
comment on column webhook_deliveries.next_at is 'Retrying: not before this';
comment on column phone_numbers.messages_per_second_max is 'How many messages it may send a second; 0 is the 80 of a usual number';
