//! Tenants: the border of isolation, in subjects and in queries.

use std::{fmt, str::FromStr};

/// The longest tenant name, characters.
pub const TENANT_LENGTH_MAX: usize = 64;

/// The name of a tenant. It is a subject token as it stands: lower-case letters, digits and `-`, starting with a
/// letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Box<str>);

/// A tenant name that cannot be a subject token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("tenant {0:?} must be 1 to {TENANT_LENGTH_MAX} of a-z, 0-9 and '-', starting with a letter or digit")]
pub struct InvalidTenant(pub String);

impl Tenant {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    fn from_str(name: &str) -> Result<Self, InvalidTenant> {
        let character = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = !name.is_empty()
            && name.len() <= TENANT_LENGTH_MAX
            && !name.starts_with('-')
            && name.chars().all(character);
        if valid { Ok(Self(name.into())) } else { Err(InvalidTenant(name.to_owned())) }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_subject_tokens_are_tenants() {
        for good in ["default", "a", "7-eleven", &"x".repeat(64)] {
            assert_eq!(good.parse::<Tenant>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a.b", "a*", ">", "a b", "año", "_nodes", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Tenant>(), Err(InvalidTenant(bad.to_owned())), "{bad:?}");
        }
    }
}
