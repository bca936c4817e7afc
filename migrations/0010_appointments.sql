-- Appointments, and the register that they are made from: patients, cities, specialties. People fill the register.

-- A text as it is searched for: small letters without accents, words with one blank between them. Accents are taken away
-- whether they are part of a letter or follow it.
create function folded(text) returns text
    language sql immutable strict parallel safe
    return btrim(regexp_replace(
        lower(translate(
            $1,
            'áàâäãåÁÀÂÄÃÅéèêëÉÈÊËíìîïÍÌÎÏóòôöõÓÒÔÖÕúùûüÚÙÛÜñÑçÇýÿÝ' || U&'\0300\0301\0302\0303\0308\0327',
            'aaaaaaAAAAAAeeeeEEEEiiiiIIIIoooooOOOOOuuuuUUUUnNcCyyY'
        )),
        '[[:punct:][:space:]¿¡]+', ' ', 'g'
    ));

create table patients (
    tenant text not null,
    id uuid not null default gen_random_uuid(),
    document text not null,
    name text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint patients_pkey primary key (tenant, id),
    constraint patients_tenant_document_key unique (tenant, document),
    constraint patients_document_check check (document ~ '^[0-9A-Z]{1,32}$')
);

create table cities (
    tenant text not null,
    id uuid not null default gen_random_uuid(),
    name text not null,
    name_folded text not null generated always as (folded(name)) stored,
    constraint cities_pkey primary key (tenant, id),
    constraint cities_tenant_name_folded_key unique (tenant, name_folded),
    constraint cities_name_check check (folded(name) <> '' and char_length(name) <= 64)
);

create table specialties (
    tenant text not null,
    id uuid not null default gen_random_uuid(),
    city_id uuid not null,
    name text not null,
    name_folded text not null generated always as (folded(name)) stored,
    description text not null default '',
    constraint specialties_pkey primary key (tenant, id),
    constraint specialties_tenant_city_id_name_folded_key unique (tenant, city_id, name_folded),
    constraint specialties_city_id_fkey foreign key (tenant, city_id) references cities (tenant, id),
    constraint specialties_name_check check (folded(name) <> '' and char_length(name) <= 128),
    constraint specialties_description_check check (char_length(description) <= 256)
);

create table appointments (
    tenant text not null,
    id uuid not null,
    position bigint not null generated always as identity,
    conversation_id uuid not null,
    conversation_token text not null,
    user_id text not null,
    patient_id uuid not null,
    city text not null,
    specialty text not null,
    visit_type text not null,
    description text not null,
    status text not null default 'pending',
    scheduled_at timestamptz,
    version bigint not null default 1,
    told_version bigint not null default 0,
    telling_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint appointments_pkey primary key (tenant, id),
    constraint appointments_conversation_id_fkey foreign key (conversation_id) references conversations (id),
    constraint appointments_patient_id_fkey foreign key (tenant, patient_id) references patients (tenant, id),
    constraint appointments_status_check check (status in ('pending', 'confirmed', 'cancelled', 'done'))
) with (fillfactor = 70);

-- Pages of a tenant, of one state, and of one conversation; newest first.
create index appointments_tenant_position_idx on appointments (tenant, position);
create index appointments_tenant_status_position_idx on appointments (tenant, status, position);
create index appointments_conversation_id_position_idx on appointments (conversation_id, position);
-- Whether a patient has any.
create index appointments_tenant_patient_id_idx on appointments (tenant, patient_id);
-- What is not told yet.
create index appointments_untold_idx on appointments (position) where told_version < version;

comment on function folded is 'A text as it is searched for: small letters without accents, words with one blank between them';
comment on table patients is 'Who may be given appointments: the register of each tenant';
comment on column patients.document is 'As it is looked for: upper case, without dots, blanks and dashes';
comment on table cities is 'Where there are specialties';
comment on column cities.name_folded is 'The name as it is compared: no two cities of a tenant share one';
comment on table specialties is 'What appointments are made for, in each city';
comment on column specialties.name_folded is 'The name as it is searched for: no two specialties of a city share one';
comment on column specialties.description is 'What contacts are told of it beside the name';
comment on table appointments is 'Appointments of patients';
comment on column appointments.id is 'The id of the request it was made by: asked twice, there is one';
comment on column appointments.position is 'The order of making: the place in lists';
comment on column appointments.conversation_token is 'The name in subjects of the conversation it was made in';
comment on column appointments.user_id is 'The contact''s id as its front end knows it, or its phone number';
comment on column appointments.city is 'The city''s name when the appointment was made; likewise the specialty';
comment on column appointments.visit_type is 'As the flow names it';
comment on column appointments.status is 'pending (nobody has agreed yet), confirmed, cancelled, done';
comment on column appointments.scheduled_at is 'When it takes place; null until somebody says so';
comment on column appointments.version is 'Grows with every change: of two states the higher is the newer';
comment on column appointments.told_version is 'The version that others were told last';
comment on column appointments.telling_until is 'Some process is telling it; should that one die, another may after this';
