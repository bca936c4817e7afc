-- Counters of each tenant, kept in the transactions that change what they count.

create table tenant_stats (
    tenant text not null,
    counter text not null,
    value bigint not null,
    constraint tenant_stats_pkey primary key (tenant, counter)
) with (fillfactor = 50);

comment on table tenant_stats is 'Counters of each tenant';
comment on column tenant_stats.counter is 'messages_in, messages_out, conversations, unread, responses, response_ms_sum, response_ms_max, status/<status>, sender/<sender type>';
