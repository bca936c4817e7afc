-- Further addresses of contacts.

create table contact_aliases (
    tenant text not null,
    alias text not null,
    conversation_token text not null,
    seq bigint not null,
    constraint contact_aliases_pkey primary key (tenant, alias)
);

create index contact_aliases_tenant_conversation_token_idx on contact_aliases (tenant, conversation_token);

comment on table contact_aliases is 'Which conversation a further address of its contact belongs to';
comment on column contact_aliases.alias is 'The address as a subject token';
comment on column contact_aliases.conversation_token is 'The token of the conversation';
comment on column contact_aliases.seq is 'Position of the message that said so; the newest is right';
