//! What an export is asked for with.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::archive::export::Format;
use crate::domain::Moment;

/// `GET /v1/users/{name}/export`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// How it is written.
    #[param(inline)]
    pub format: Format,
    /// Not older than this: a date or a time of the user's zone, RFC 3339, or an age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
    /// Older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub until: Option<Moment>,
}
