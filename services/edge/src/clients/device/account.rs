//! Whose WhatsApp session a token opens (WAB-27).

use chasqui_proto::{Tenant, subject::NodeToken, tenant::TENANT_LENGTH_MAX};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    auth::Identity,
    event::{Event, Fact},
};

/// The session of an account: it has one.
pub(super) const SESSION: &str = "main";

/// What the tenants of users begin with. No tenant of another kind may have such a name.
const PREFIX: &str = "user-";
/// What follows where the rest is a hash.
const HASHED: &str = "x-";

/// Which tenant the users of devices belong to, when their token names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceTenants {
    /// Each user is a tenant of its own: one WhatsApp session a user, and nobody sees another's conversations.
    #[default]
    User,
    /// All of them share the default tenant, its session and its conversations.
    Shared,
}

/// The tenant that owns the session a user may open. A token that names a tenant opens that one's.
pub(super) fn tenant_of(identity: &Identity, users: DeviceTenants) -> Tenant {
    if users == DeviceTenants::Shared || identity.is_tenant_named {
        return identity.tenant.clone();
    }
    let name = format!("{PREFIX}{}", identity.user);
    // A user named like what another's id is hashed to is hashed too.
    let own = name.parse().ok().filter(|_| !identity.user.starts_with(HASHED));
    own.unwrap_or_else(|| hashed(&identity.user))
}

/// The tenant of a user whose id no tenant name can hold.
fn hashed(user: &str) -> Tenant {
    let digest = hex::encode(Sha256::digest(user));
    let name = format!("{PREFIX}{HASHED}{digest}");
    name[..TENANT_LENGTH_MAX].parse().expect("hexadecimal digits are what a tenant's name is made of")
}

/// Whether it tells of a number that is not the account's: a tenant may have more of them.
pub(super) fn is_of_another_session(event: &Event) -> bool {
    matches!(&event.fact, Fact::Session(session) if session.id != SESSION)
}

/// The session of an account, in a subject.
pub(super) fn session() -> NodeToken {
    NodeToken::new(SESSION)
}

#[cfg(test)]
mod tests {
    use chasqui_proto::{
        ConversationToken,
        address::parse_address,
        v1::{PersonKind, Session},
    };

    use super::*;

    fn tenant(user: &str, claimed: Option<&str>, users: DeviceTenants) -> String {
        let identity = Identity {
            user: user.to_owned(),
            tenant: claimed.unwrap_or("default").parse().unwrap(),
            is_tenant_named: claimed.is_some(),
            phone: None,
            person: ConversationToken::of(&parse_address(user).unwrap()),
            kind: PersonKind::User,
            name: String::new(),
            has_staff_role: false,
            agent: None,
            expires_at_ms: None,
        };
        tenant_of(&identity, users).to_string()
    }

    #[test]
    fn wab_27_every_user_is_a_tenant_of_its_own() {
        let own = |user: &str| tenant(user, None, DeviceTenants::User);
        assert_eq!(own("7d9a4a5e-0000-4000-8000-000000000001"), "user-7d9a4a5e-0000-4000-8000-000000000001");
        assert_eq!(own("acme"), "user-acme", "never the tenant `acme`");
        assert_ne!(own("A@example.org"), own("a@example.org"));
        assert_eq!(own(&"x".repeat(128)).len(), TENANT_LENGTH_MAX);
        let hashed = own("a@example.org");
        let namesake = hashed.strip_prefix(PREFIX).unwrap();
        assert_ne!(own(namesake), hashed, "nobody can take the name of another's tenant");
    }

    #[test]
    fn wab_17_the_owner_is_shown_its_own_number_and_no_other_of_its_tenant() {
        let session = |id: &str| {
            let session = Session { id: id.to_owned(), ..Session::default() };
            Event::of_state(Fact::Session(Box::new(session)))
        };
        assert!(!is_of_another_session(&session(SESSION)));
        assert!(is_of_another_session(&session("sales")));
    }

    #[test]
    fn a_tenant_in_the_token_wins_and_a_shared_one_can_be_had() {
        assert_eq!(tenant("u1", Some("acme"), DeviceTenants::User), "acme");
        assert_eq!(tenant("u1", Some("default"), DeviceTenants::User), "default");
        assert_eq!(tenant("u1", None, DeviceTenants::Shared), "default");
    }
}
