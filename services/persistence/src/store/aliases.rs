//! Rows of `contact_aliases`.

use sqlx::PgConnection;

/// A further address of a contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct FurtherAlias {
    pub(crate) tenant: String,
    pub(crate) alias: String,
    pub(crate) conversation_token: String,
}

/// Stores what is new about addresses; returns that. Of two contradicting messages the newer one is right. `aliases`
/// are in order, one for each tenant and alias.
pub(super) async fn learn(
    connection: &mut PgConnection,
    aliases: &[(FurtherAlias, i64)],
) -> sqlx::Result<Vec<FurtherAlias>> {
    let column =
        |of: fn(&FurtherAlias) -> &str| -> Vec<&str> { aliases.iter().map(|(a, _)| of(a)).collect() };
    let positions: Vec<i64> = aliases.iter().map(|(_, seq)| *seq).collect();
    sqlx::query_as(
        "insert into contact_aliases (tenant, alias, conversation_token, seq)
         select n.tenant, n.alias, n.conversation_token, n.seq
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as n (tenant, alias, conversation_token, seq)
         where not exists (
            select from contact_aliases a
            where a.tenant = n.tenant and a.alias = n.alias and a.conversation_token = n.conversation_token
         )
         on conflict (tenant, alias) do update
            set conversation_token = excluded.conversation_token, seq = excluded.seq
            where contact_aliases.seq < excluded.seq
              and contact_aliases.conversation_token <> excluded.conversation_token
         returning tenant, alias, conversation_token",
    )
    .bind(column(|alias| &alias.tenant))
    .bind(column(|alias| &alias.alias))
    .bind(column(|alias| &alias.conversation_token))
    .bind(positions)
    .fetch_all(connection)
    .await
}
