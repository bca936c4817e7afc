//! What stands behind the `?` of an address.

use axum::extract::{Query, rejection::QueryRejection};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::fields::FieldError;

/// What may stand in the query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// How many, 1 to 200. Default 50.
    pub(crate) limit: u32,
    /// `next` of the page before.
    pub(crate) cursor: String,
}

/// What a query says, or what is wrong with it.
pub(crate) fn read<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, FieldError> {
    let Query(asked) = query.map_err(|rejection| {
        let expected = rejection.body_text();
        FieldError::new(
            "query",
            expected.trim_start_matches("Failed to deserialize query string: ").to_owned(),
        )
    })?;
    Ok(asked)
}
