//! What a token says, and whom that makes of its bearer.

use std::time::Duration;

use chasqui_proto::{ConversationToken, Tenant, address::parse_address, v1::PersonKind};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Identity};

/// The longest user id a token may carry, bytes.
const USER_LENGTH_MAX: usize = 128;

/// Values of the claim `role` that make a user a member of its tenant's staff.
const STAFF_ROLES: [&str; 2] = ["staff", "admin"];

/// The claims we read. Issuers add others.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    id: Option<Id>,
    sub: Option<Id>,
    tenant: Option<String>,
    phone: Option<String>,
    name: Option<String>,
    /// Issuers have roles of their own, of any shape.
    role: Option<Value>,
    exp: Option<f64>,
}

/// Issuers write ids as text or as numbers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

impl Claims {
    pub(crate) fn identity(self, default_tenant: &Tenant) -> Result<Identity, Error> {
        let user = match self.id.or(self.sub) {
            Some(Id::Text(user)) => user,
            Some(Id::Number(user)) => user.to_string(),
            None => return Err(Error::Unauthorized("the token names no user: it needs `id` or `sub`")),
        };
        if user.trim().is_empty() || user.len() > USER_LENGTH_MAX {
            return Err(Error::Unauthorized("the token's user id must have 1 to 128 characters"));
        }
        let named = self.tenant.map(|name| name.parse::<Tenant>()).transpose();
        let named = named.map_err(|_| Error::Unauthorized("the token's tenant is invalid"))?;
        let alias = parse_address(self.phone.as_deref().unwrap_or(&user))
            .map_err(|_| Error::Unauthorized("the token's phone must have 1 to 128 characters"))?;
        Ok(Identity {
            user,
            is_tenant_named: named.is_some(),
            tenant: named.unwrap_or_else(|| default_tenant.clone()),
            kind: if self.phone.is_some() { PersonKind::Contact } else { PersonKind::User },
            phone: self.phone,
            person: ConversationToken::of(&alias),
            name: self.name.unwrap_or_default(),
            has_staff_role: self.role.as_ref().and_then(Value::as_str).is_some_and(is_staff),
            agent: None,
            expires_at_ms: self.exp.and_then(milliseconds),
        })
    }
}

fn is_staff(role: &str) -> bool {
    STAFF_ROLES.contains(&role)
}

/// A moment that a claim tells, in milliseconds; `None` for one that never comes.
fn milliseconds(seconds: f64) -> Option<i64> {
    Duration::try_from_secs_f64(seconds).ok().and_then(|since| i64::try_from(since.as_millis()).ok())
}
