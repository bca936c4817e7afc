-- Campaigns: one message to many contacts, a row each.

create table campaigns (
    id uuid not null,
    tenant text not null,
    position bigint not null generated always as identity,
    name text not null,
    status text not null default 'uploading',
    plan bytea not null,
    report bytea,
    digest bytea,
    upload uuid not null,
    created_by text not null,
    error text not null default '',
    scheduled_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    retried_at timestamptz,
    version bigint not null default 1,
    told_version bigint not null default 0,
    ownership bigint not null default 0,
    pending integer not null default 0,
    queued integer not null default 0,
    sent integer not null default 0,
    delivered integer not null default 0,
    read integer not null default 0,
    failed integer not null default 0,
    skipped integer not null default 0,
    cancelled integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint campaigns_pkey primary key (id),
    constraint campaigns_position_key unique (position),
    constraint campaigns_status_check check (
        status in ('uploading', 'draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled', 'failed')
    )
) with (fillfactor = 70);

-- Pages of a tenant, of all and of one state; newest first.
create index campaigns_tenant_position_idx on campaigns (tenant, position);
create index campaigns_tenant_status_position_idx on campaigns (tenant, status, position);
-- What wants a runner, now or at its time.
create index campaigns_due_idx on campaigns (position)
    where status <> 'uploading'
      and (status = 'running' or told_version < version or (status = 'cancelled' and pending > 0));
create index campaigns_scheduled_at_idx on campaigns (scheduled_at) where status = 'scheduled';
-- Uploads that may be given up.
create index campaigns_uploading_idx on campaigns (updated_at) where status = 'uploading';

create table campaign_recipients (
    campaign_id uuid not null,
    line integer not null,
    tenant text not null,
    token text not null,
    contact text not null,
    name text not null,
    variables bytea not null,
    state text not null,
    attempt integer not null default 0,
    message_id uuid,
    error_code bigint,
    error_title text,
    error_message text,
    error_details text,
    queued_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint campaign_recipients_pkey primary key (campaign_id, line),
    constraint campaign_recipients_campaign_id_token_key unique (campaign_id, token),
    constraint campaign_recipients_campaign_id_fkey foreign key (campaign_id) references campaigns (id),
    constraint campaign_recipients_state_check check (
        state in ('pending', 'queued', 'sent', 'delivered', 'read', 'failed', 'skipped', 'cancelled')
    )
) with (fillfactor = 80);

-- Whose message a status is about.
create unique index campaign_recipients_tenant_message_id_key on campaign_recipients (tenant, message_id)
    where message_id is not null;
-- Pages of one state.
create index campaign_recipients_campaign_id_state_line_idx on campaign_recipients (campaign_id, state, line);
-- Whose message waits for its number.
create index campaign_recipients_campaign_id_queued_at_idx on campaign_recipients (campaign_id, queued_at)
    where state = 'queued';

-- Why recipients of a campaign are failed now.
create table campaign_failures (
    campaign_id uuid not null,
    code bigint not null,
    title text not null,
    count integer not null,
    constraint campaign_failures_pkey primary key (campaign_id, code, title),
    constraint campaign_failures_campaign_id_fkey foreign key (campaign_id) references campaigns (id)
) with (fillfactor = 50);

comment on table campaigns is 'One message to many contacts';
comment on column campaigns.position is 'The order of making: the place in lists';
comment on column campaigns.status is 'uploading (its recipients are being read), draft, scheduled, running, paused, completed, cancelled, failed (it stopped by itself)';
comment on column campaigns.plan is 'What is sent, and how (protobuf chasqui.v1.CampaignPlan); when it begins is in scheduled_at';
comment on column campaigns.report is 'What was found when its recipients were read (protobuf chasqui.v1.CampaignReport)';
comment on column campaigns.digest is 'SHA-256 of the request that made it: who repeats the id must mean the same campaign';
comment on column campaigns.upload is 'Which upload may bring its recipients';
comment on column campaigns.created_by is 'The id of a user or of a key';
comment on column campaigns.error is 'Why it stopped by itself';
comment on column campaigns.scheduled_at is 'When it begins by itself';
comment on column campaigns.started_at is 'When it was last started or resumed';
comment on column campaigns.retried_at is 'Recipients who had failed by then get their turn again; null when all of them have it';
comment on column campaigns.version is 'Grows with every change: of two states the higher is the newer';
comment on column campaigns.told_version is 'The version that others were told last';
comment on column campaigns.ownership is 'Of the newest runner: one with a lower number was replaced';
comment on column campaigns.pending is 'How many recipients are in that state; likewise the columns after it';
comment on table campaign_recipients is 'Who a campaign writes to';
comment on column campaign_recipients.line is 'In the file, or the position in the list. Recipients are written to in this order';
comment on column campaign_recipients.token is 'The name in subjects of the conversation: nobody is written to twice';
comment on column campaign_recipients.contact is 'The address that was given, in the form of a token';
comment on column campaign_recipients.variables is 'What takes the places in the message (protobuf chasqui.v1.Recipient with nothing else)';
comment on column campaign_recipients.state is 'pending (its turn has not come), queued, sent, delivered, read, failed, skipped (wants no campaigns), cancelled';
comment on column campaign_recipients.attempt is 'How many messages were made for it';
comment on column campaign_recipients.message_id is 'The newest of them';
comment on column campaign_recipients.queued_at is 'When the newest of them was handed to its number';
comment on table campaign_failures is 'Why recipients of a campaign are failed now';
comment on column campaign_failures.code is 'The provider''s; 0 where it has none';
