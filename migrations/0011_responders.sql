-- Who answers contacts, and why people do.

alter table tenants add column responder text not null default '';
alter table tenants add constraint tenants_responder_check check (responder in ('', 'builtin', 'external'));
comment on column tenants.responder is 'Who answers contacts where no conversation says otherwise: builtin, external; empty is as the deployment says';

alter table listeners add column answers boolean not null default false;
comment on column listeners.answers is 'It is a bot that answers contacts: it is told what they write only where a bot outside answers';

alter table chats add column reason text not null default '';
comment on column chats.reason is 'Why people have it: keyword, flow, failure, …; empty where the contact or an agent opened it';

alter table conversations add column steered_at timestamptz;
comment on column conversations.steered_at is 'When ai_active or no_ac_ai last changed: what was written before is not the bot''s to answer';
