-- Who belongs to the tenants: replicated into the KV bucket `directory`, where the other services read it.

create table tenants (
    tenant text not null,
    name text not null default '',
    suspended boolean not null default false,
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint tenants_pkey primary key (tenant),
    constraint tenants_directory_key_key unique (directory_key)
);

create table users (
    tenant text not null,
    id text not null,
    person text not null,
    name text not null default '',
    email text not null default '',
    suspended boolean not null default false,
    online boolean not null default false,
    last_seen_at timestamptz,
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_pkey primary key (tenant, id),
    constraint users_tenant_person_key unique (tenant, person),
    constraint users_directory_key_key unique (directory_key)
) with (fillfactor = 80);

create table agents (
    tenant text not null,
    id text not null,
    user_id text not null,
    name text not null default '',
    status text not null,
    chats_max integer not null default 0,
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint agents_pkey primary key (tenant, id),
    constraint agents_tenant_user_id_key unique (tenant, user_id),
    constraint agents_directory_key_key unique (directory_key),
    constraint agents_user_fkey foreign key (tenant, user_id) references users (tenant, id),
    constraint agents_status_check check (status in ('ACTIVE', 'INACTIVE')),
    constraint agents_chats_max_check check (chats_max >= 0)
);

create table api_keys (
    tenant text not null,
    id text not null,
    name text not null default '',
    sha256 text not null,
    scopes text[] not null,
    expires_at timestamptz,
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint api_keys_pkey primary key (tenant, id),
    constraint api_keys_directory_key_key unique (directory_key),
    constraint api_keys_sha256_check check (sha256 ~ '^[0-9a-f]{64}$')
);

create table phone_numbers (
    tenant text not null,
    id text not null,
    display_phone_number text not null default '',
    account_id text not null default '',
    directory_key text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint phone_numbers_pkey primary key (id),
    constraint phone_numbers_directory_key_key unique (directory_key)
);

create index phone_numbers_tenant_id_idx on phone_numbers (tenant, id);

create table directory_pending (
    directory_key text not null,
    since timestamptz not null default now(),
    constraint directory_pending_pkey primary key (directory_key)
);

comment on table tenants is 'Tenants that have a name or are suspended; others exist without a row';
comment on column tenants.directory_key is 'Where the KV bucket keeps the entry; likewise in the other tables';
comment on table users is 'People who sign in';
comment on column users.id is 'As in the tokens of its issuer';
comment on column users.person is 'The name in subjects, made of the id read as an address';
comment on column users.online is 'Has a connection anywhere';
comment on table agents is 'Users who answer chats';
comment on column agents.chats_max is 'The most chats it is given at a time; 0 is no limit';
comment on table api_keys is 'Keys of machines; the keys themselves are stored nowhere';
comment on column api_keys.sha256 is 'SHA-256 of the key, lower-case hexadecimal';
comment on column api_keys.scopes is 'send, listen, admin';
comment on column api_keys.expires_at is 'When it stops to open anything; null is never';
comment on table phone_numbers is 'Numbers of providers and the tenants they belong to';
comment on column phone_numbers.id is 'WhatsApp: the phone number id of the Graph API';
comment on table directory_pending is 'Keys of the bucket whose entry here has changed since it was last told there';
