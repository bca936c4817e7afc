//! What events of a listener are signed with.

pub(super) use chasqui_callback::new_secret as new;
use chasqui_callback::{Signing, check_secret};
use chasqui_proto::v1::ListenerFormat;
use secrecy::SecretString;

use crate::fields::FieldError;

/// How many secrets a listener has: the one in use, and the one before while it is changed.
pub(super) const SECRETS_MAX: usize = 2;

/// Whether events of a format can be signed with a secret; the error is about `field`.
pub(super) fn check(
    secret: &SecretString,
    format: ListenerFormat,
    field: &'static str,
) -> Result<(), FieldError> {
    let signing = match format {
        ListenerFormat::CloudApi => Signing::CloudApi,
        _ => Signing::Standard,
    };
    check_secret(secret, signing).map_err(|error| FieldError::new(field, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_sign_is_named_and_an_app_secret_signs_only_in_its_own_way() {
        let app_secret = "0123456789abcdef0123456789abcdef".into();
        assert!(check(&app_secret, ListenerFormat::CloudApi, "secret").is_ok());
        let refused = check(&app_secret, ListenerFormat::Client, "secret").unwrap_err();
        assert!(refused.to_string().contains("secret"), "{refused}");
    }
}
