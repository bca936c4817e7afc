-- Chats between contacts and agents: one row an episode.

create table chats (
    id uuid not null,
    position bigint not null generated always as identity,
    tenant text not null,
    conversation_id uuid not null,
    conversation_token text not null,
    episode integer not null,
    status text not null default 'waiting',
    user_id text not null,
    user_name text not null,
    agent_id text,
    agent_user_id text,
    agent_before text,
    refused_by text,
    opened_at timestamptz not null,
    waiting_since timestamptz not null,
    assigned_at timestamptz,
    closed_at timestamptz,
    closed_by text,
    version bigint not null,
    updated_at timestamptz not null,
    constraint chats_pkey primary key (id),
    constraint chats_conversation_id_episode_key unique (conversation_id, episode),
    constraint chats_conversation_id_fkey foreign key (conversation_id) references conversations (id),
    constraint chats_status_check check (status in ('waiting', 'assigned', 'closed')),
    constraint chats_agent_check check (
        case status when 'waiting' then agent_id is null when 'assigned' then agent_id is not null else true end
    )
) with (fillfactor = 70);

-- A conversation has one open chat, however many nodes open one at once.
create unique index chats_conversation_id_open_key on chats (conversation_id) where status <> 'closed';
-- The open chats of a tenant, oldest first.
create index chats_tenant_position_open_idx on chats (tenant, position) where status <> 'closed';
-- The queue.
create index chats_tenant_position_waiting_idx on chats (tenant, position) where status = 'waiting';
-- The chats of an agent.
create index chats_tenant_agent_id_idx on chats (tenant, agent_id, position) where status = 'assigned';

-- What others were told of the newest chat of each conversation. A row of its own, since episodes follow each other.
create table chat_tellings (
    conversation_id uuid not null,
    version bigint not null,
    told_version bigint not null default 0,
    telling_until timestamptz,
    constraint chat_tellings_pkey primary key (conversation_id),
    constraint chat_tellings_conversation_id_fkey foreign key (conversation_id) references conversations (id)
) with (fillfactor = 50);

-- What is not told yet.
create index chat_tellings_untold_idx on chat_tellings (conversation_id) where told_version < version;

comment on table chats is 'Chats between contacts and agents, one row an episode';
comment on column chats.position is 'The order of opening: the place in the queue, and in lists';
comment on column chats.conversation_token is 'The conversation''s name in subjects';
comment on column chats.episode is 'Counts the chats of a conversation';
comment on column chats.status is 'waiting (nobody is free for it), assigned, closed';
comment on column chats.user_id is 'The contact''s id as its front end knows it';
comment on column chats.agent_user_id is 'The user who is that agent';
comment on column chats.agent_before is 'The agent that had it last before it waited';
comment on column chats.refused_by is 'The agent that gave it back: the queue does not give it to that one again';
comment on column chats.waiting_since is 'When it last began to wait';
comment on column chats.closed_by is 'The id of the user who closed it';
comment on column chats.version is 'Grows with every change and over the episodes: of two states of a conversation''s chat the higher is the newer';

comment on table chat_tellings is 'What others were told of the newest chat of each conversation';
comment on column chat_tellings.version is 'The newest version';
comment on column chat_tellings.told_version is 'The version that was told last';
comment on column chat_tellings.telling_until is 'Some process is telling it; should that one die, another may after this';

-- Whose turn it is.
alter table agents add column turn bigint not null default 0;
comment on column agents.turn is 'Counts the tenant''s assignments of chats: the agent with the lower number was given one longer ago';

-- A message that an agent has read is one unread less, unless the whole conversation was marked as read since.
alter table conversations add column read_seq bigint not null default 0;
comment on column conversations.read_seq is 'Position of the newest message when the conversation was last marked as read';

-- Those who are marked as online, to find the ones who are not.
create index users_online_idx on users (tenant, person) where online;
comment on column users.last_seen_at is 'When the last connection began or ended; an agent''s chats stay its own for a time after it ended';
