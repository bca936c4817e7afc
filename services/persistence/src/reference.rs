//! How a request names a conversation: by id, number, token, or any address of its contact.

use chasqui_proto::{ConversationId, ConversationToken, Tenant, address, v1::AliasKind};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{error::Error, fact::Place, store::conversations};

/// Everything that a name may mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    /// As an id, or as the token or address that an id is made of; the likeliest first.
    ids: Vec<Uuid>,
    number: Option<i64>,
    /// As further addresses of a contact.
    aliases: Vec<String>,
}

impl Reference {
    /// What `name` may mean in a tenant.
    pub(crate) fn read(tenant: &Tenant, name: &str) -> Self {
        let mut tokens: Vec<ConversationToken> = name.parse().into_iter().collect();
        tokens.extend(address::parse_address(name).iter().map(ConversationToken::of));
        tokens.dedup();
        let mut ids: Vec<Uuid> = name.parse().into_iter().collect();
        ids.extend(tokens.iter().map(|token| ConversationId::of(tenant, token).0));
        let number = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
        Self { ids, number, aliases: tokens.iter().map(ToString::to_string).collect() }
    }

    /// The conversation that is meant, if the tenant has it.
    pub(crate) async fn find(&self, pool: &PgPool, tenant: &Tenant) -> Result<Option<Uuid>, Error> {
        let found = sqlx::query_scalar(
            "(select id from conversations where tenant = $1 and id = any($2) limit 1)
             union all
             (select id from conversations where tenant = $1 and number = $3)
             union all
             (select c.id from contact_aliases a
              join conversations c on c.tenant = a.tenant and c.token = a.conversation_token
              where a.tenant = $1 and a.alias = any($4) limit 1)
             limit 1",
        )
        .bind(tenant.as_str())
        .bind(&self.ids)
        .bind(self.number)
        .bind(&self.aliases)
        .fetch_optional(pool)
        .await?;
        Ok(found)
    }
}

/// The conversation that is meant; a contact's who never wrote is made.
pub(crate) async fn place(pool: &PgPool, tenant: Tenant, name: &str) -> Result<Place, Error> {
    if let Some(id) = Reference::read(&tenant, name).find(pool, &tenant).await? {
        let token = token_of(pool, id).await?;
        return Ok(Place { id, tenant, token });
    }
    let token = new_token(name)?;
    let place = Place { id: ConversationId::of(&tenant, &token).0, tenant, token };
    conversations::ensure(&mut *pool.acquire().await?, &[&place]).await?;
    Ok(place)
}

/// The token of the conversation that is meant, also of a contact who never wrote.
pub(crate) async fn token(pool: &PgPool, tenant: &Tenant, name: &str) -> Result<ConversationToken, Error> {
    match Reference::read(tenant, name).find(pool, tenant).await? {
        Some(id) => token_of(pool, id).await,
        None => new_token(name),
    }
}

async fn token_of(pool: &PgPool, id: Uuid) -> Result<ConversationToken, Error> {
    conversations::token(pool, id).await?.parse().map_err(|_| Error::Unreadable("token"))
}

/// The token of a contact that has no conversation yet: a token that says its kind itself, or any address.
fn new_token(name: &str) -> Result<ConversationToken, Error> {
    if name.parse::<Uuid>().is_ok() {
        return Err(Error::NotFound("conversation"));
    }
    let named = name.parse::<ConversationToken>().ok();
    if let Some(token) = named.filter(|token| token.alias().kind() != AliasKind::Phone) {
        return Ok(token);
    }
    let read = address::parse_address(name);
    let alias =
        read.map_err(|error| Error::Invalid { field: "conversation", expected: error.to_string() })?;
    Ok(ConversationToken::of(&alias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_who_never_wrote_is_named_by_token_or_address() {
        let check = |name: &str, token: &str| assert_eq!(new_token(name).unwrap().as_str(), token, "{name}");
        check("web_u1", "web_u1");
        check("u1", "web_u1");
        check("5491100000001", "5491100000001");
        check("+54 911 0000-0001", "5491100000001");
        let refused = |name: &str| new_token(name).unwrap_err().to_string();
        assert_eq!(refused("2ae0196f-15cf-5517-a33e-8d03afa6cbbe"), "there is no such conversation");
        assert!(refused("").starts_with("conversation:"));
    }

    #[test]
    fn a_number_may_be_a_conversations_or_a_contacts() {
        let tenant: Tenant = "default".parse().unwrap();
        let token: ConversationToken = "5491100000001".parse().unwrap();
        let id = ConversationId::of(&tenant, &token).0;
        let reference = Reference::read(&tenant, "5491100000001");
        assert_eq!((reference.ids, reference.number), (vec![id], Some(5_491_100_000_001)));
        for name in ["+54 911 0000-0001", "5491100000001@s.whatsapp.net"] {
            let reference = Reference::read(&tenant, name);
            assert!(reference.ids.contains(&id) && reference.number.is_none(), "{name}");
        }
        assert!(Reference::read(&tenant, &id.to_string()).ids.contains(&id));
        assert_eq!(Reference::read(&tenant, ""), Reference::default());
    }
}
