//! What is asked of the archive. A moment is RFC 3339, or a date, a local time (both of the user's zone) or an age.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::domain::{Moment, PlayCursor, Range, TopKind};

/// `GET /v1/users/{name}/plays`. Where there are more, the answer's Link header (RFC 8288) has the next page's address.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlaysQuery {
    /// Not older than this: RFC 3339, or a date or time of the user's zone (2026-11-21, 2026-11-21T20:30), or an age (24h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
    /// Older than this; in the same forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub until: Option<Moment>,
    /// What comes after this place: as the Link header of the page before says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub before: Option<PlayCursor>,
    /// At most so many; 50 where it is absent, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<i64>,
}

/// `GET /v1/users/{name}/top`.
#[derive(Debug, Clone, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TopQuery {
    /// Of what.
    #[param(inline)]
    pub kind: TopKind,
    /// Over which time until now: 4w, 6mo, 1y, or another number of d, w, mo or y, in calendar months and years of the
    /// user's zone; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub range: Option<Range>,
    /// Instead of a range: plays not older than this, in the forms of `plays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub since: Option<Moment>,
    /// At most so many; 10 where it is absent, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<i64>,
}

/// `GET /v1/users/{name}/stats`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Over which time until now, as for `top`; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub range: Option<Range>,
}
