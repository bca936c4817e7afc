//! Who may hand in what: keys of the configuration, and keys of machines from the directory.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use chasqui_directory::{Directory, SECRET_PREFIX, Scope};
use chasqui_kit::{Code, Coded, secret};
use chasqui_proto::Tenant;
use secrecy::{ExposeSecret, SecretString};

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
}

impl Coded for AdmissionError {
    fn code(&self) -> Code {
        match self {
            Self::Unauthorized => Code::Unauthorized,
            Self::Scope(_) => Code::Forbidden,
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

    /// Whom a caller may administer.
    pub(crate) fn administrator(&self, headers: &HeaderMap) -> Result<Administrator, AdmissionError> {
        let given = presented(headers).ok_or(AdmissionError::Unauthorized)?;
        if is_configured(self.admin_key.as_ref(), given) {
            return Ok(Administrator::Deployment);
        }
        self.of_directory(given, Scope::Admin).map(Administrator::Of)
    }

    fn of_directory(&self, given: &str, scope: Scope) -> Result<Tenant, AdmissionError> {
        let entry = self.directory.check_key(given).ok_or(AdmissionError::Unauthorized)?;
        if !scope.is_in(&entry.scopes) {
            return Err(AdmissionError::Scope(scope.as_str()));
        }
        entry.tenant.parse().map_err(|_| AdmissionError::Unauthorized)
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
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
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
        assert_eq!(presented(&headers("authorization", "bearer  k ")), Some("k"));
        for other in ["Basic k", "k", "Bearer"] {
            assert_eq!(presented(&headers("authorization", other)), None, "{other}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }

    #[test]
    fn an_empty_key_opens_nothing() {
        assert!(!is_configured(Some(&"".into()), ""));
        assert!(!is_configured(None, ""));
        assert!(is_configured(Some(&"k".into()), "k") && !is_configured(Some(&"k".into()), "K"));
    }
}
