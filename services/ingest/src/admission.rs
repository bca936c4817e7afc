//! Who may do what: keys of the configuration, keys of machines from the directory, tokens of staff.

use std::sync::Arc;

use axum::http::HeaderMap;
use chasqui_directory::{Directory, SECRET_PREFIX, Scope};
use chasqui_identity::bearer;
use chasqui_kit::{Code, Coded, secret};
use chasqui_proto::{Tenant, v1::SenderType};
use secrecy::{ExposeSecret, SecretString};

use crate::staff::{Staff, StaffError};

const API_KEY_HEADER: &str = "x-api-key";

/// What keys are checked against.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) directory: Directory,
    /// Sends for the default tenant.
    pub(crate) api_key: Option<SecretString>,
    /// Administers every tenant.
    pub(crate) admin_key: Option<SecretString>,
    /// Callers that send no key may send for the default tenant.
    pub(crate) anonymous: bool,
    /// The tenant of whoever names none.
    pub(crate) default_tenant: Tenant,
    /// Who signed in; `None` where no token could be checked.
    pub(crate) staff: Option<Arc<Staff>>,
}

/// Who calls, and for which tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    /// Whose messages and listeners it may touch.
    pub(crate) tenant: Tenant,
    /// What it proved.
    pub(crate) by: Proof,
}

impl Caller {
    /// Who the messages are from that it hands in.
    pub(crate) fn sender(&self) -> (SenderType, String) {
        match &self.by {
            Proof::Staff(user) => (SenderType::Agent, user.clone()),
            Proof::Key(id) => (SenderType::Ai, id.clone()),
            Proof::Configured | Proof::Nobody => (SenderType::Ai, String::new()),
        }
    }
}

/// What lets a caller in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// The key of the configuration.
    Configured,
    /// A key of the directory, by its id.
    Key(String),
    /// The token of a member of the staff, by the user's id.
    Staff(String),
    /// Nothing.
    Nobody,
}

/// Who changes the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Administrator {
    /// Whoever runs the deployment: every tenant.
    Deployment,
    /// A tenant's own: that one.
    Of(Tenant),
}

/// Why a caller was not let in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AdmissionError {
    /// No key, or none that is known, valid and of a tenant that is not suspended.
    #[error("Unauthorized")]
    Unauthorized,
    /// A valid key that is for something else.
    #[error("this key has no scope {0}")]
    Scope(&'static str),
    /// A valid token of somebody who may not, or that cannot be checked now.
    #[error(transparent)]
    Staff(StaffError),
}

impl Coded for AdmissionError {
    fn code(&self) -> Code {
        match self {
            Self::Unauthorized => Code::Unauthorized,
            Self::Scope(_) => Code::Forbidden,
            Self::Staff(error) => error.code(),
        }
    }
}

impl Admission {
    /// The tenant that a caller may send for.
    pub(crate) fn sender(&self, headers: &HeaderMap) -> Result<Tenant, AdmissionError> {
        let Some(given) = headers.get(API_KEY_HEADER) else {
            return self.anonymous.then(|| self.default_tenant.clone()).ok_or(AdmissionError::Unauthorized);
        };
        let given = given.to_str().map_err(|_| AdmissionError::Unauthorized)?;
        if is_configured(self.api_key.as_ref(), given) {
            return Ok(self.default_tenant.clone());
        }
        // Where nobody needs a key, other systems' keys are no reason to refuse.
        let is_foreign = self.api_key.is_none() && !given.starts_with(SECRET_PREFIX);
        match self.of_directory(given, Scope::Send) {
            Err(AdmissionError::Unauthorized) if self.anonymous && is_foreign => {
                Ok(self.default_tenant.clone())
            }
            outcome => outcome,
        }
    }

    /// Who calls, with one of these scopes. Staff has all of them.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        scopes: &[Scope],
    ) -> Result<Caller, AdmissionError> {
        let given = presented(headers).ok_or(AdmissionError::Unauthorized)?;
        if is_configured(self.api_key.as_ref(), given) {
            return Ok(Caller { tenant: self.default_tenant.clone(), by: Proof::Configured });
        }
        match &self.staff {
            Some(staff) if !given.starts_with(SECRET_PREFIX) => staff.admit(given).await.map_err(|error| {
                if error.code() == Code::Unauthorized {
                    tracing::debug!(%error, "a token was refused");
                    return AdmissionError::Unauthorized;
                }
                AdmissionError::Staff(error)
            }),
            _ => self.machine(given, scopes),
        }
    }

    /// A caller that may also prove nothing, and is then told about the default tenant.
    pub(crate) async fn anyone(
        &self,
        headers: &HeaderMap,
        scopes: &[Scope],
    ) -> Result<Caller, AdmissionError> {
        if presented(headers).is_none() {
            return Ok(Caller { tenant: self.default_tenant.clone(), by: Proof::Nobody });
        }
        self.caller(headers, scopes).await
    }

    /// Whom a caller may administer.
    pub(crate) fn administrator(&self, headers: &HeaderMap) -> Result<Administrator, AdmissionError> {
        let given = presented(headers).ok_or(AdmissionError::Unauthorized)?;
        if is_configured(self.admin_key.as_ref(), given) {
            return Ok(Administrator::Deployment);
        }
        self.of_directory(given, Scope::Admin).map(Administrator::Of)
    }

    fn of_directory(&self, given: &str, scope: Scope) -> Result<Tenant, AdmissionError> {
        self.machine(given, &[scope]).map(|caller| caller.tenant)
    }

    /// A machine by its key of the directory. The error names the first scope.
    fn machine(&self, given: &str, scopes: &[Scope]) -> Result<Caller, AdmissionError> {
        let entry = self.directory.check_key(given).ok_or(AdmissionError::Unauthorized)?;
        if !scopes.iter().any(|scope| scope.is_in(&entry.scopes)) {
            return Err(AdmissionError::Scope(scopes.first().map_or("", |scope| scope.as_str())));
        }
        let tenant = entry.tenant.parse().map_err(|_| AdmissionError::Unauthorized)?;
        Ok(Caller { tenant, by: Proof::Key(entry.id) })
    }
}

/// An empty key in the configuration is none.
fn is_configured(key: Option<&SecretString>, given: &str) -> bool {
    key.is_some_and(|key| !key.expose_secret().is_empty() && secret::matches(key, given))
}

/// The key of a request: `x-api-key`, else `Authorization: Bearer`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get(API_KEY_HEADER) {
        return key.to_str().ok();
    }
    bearer(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_key_comes_in_either_header() {
        assert_eq!(presented(&headers("x-api-key", "k")), Some("k"));
        assert_eq!(presented(&headers("authorization", "Bearer k")), Some("k"));
        assert_eq!(presented(&HeaderMap::new()), None);
    }

    #[test]
    fn an_empty_key_opens_nothing() {
        assert!(!is_configured(Some(&"".into()), ""));
        assert!(!is_configured(None, ""));
        assert!(is_configured(Some(&"k".into()), "k") && !is_configured(Some(&"k".into()), "K"));
    }
}
