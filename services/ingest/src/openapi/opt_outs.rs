//! What the document shows of opt-outs.

use utoipa::ToSchema;

/// A contact who gets no campaigns.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct OptOutShown {
    /// Its number, or another of its addresses.
    #[schema(example = "5491100000001")]
    contact: String,
    /// `keyword` (the contact wrote or chose it), `provider` (the contact told WhatsApp) or `operator`.
    source: String,
    /// When that was said, ISO 8601.
    #[schema(example = "2026-11-23T10:30:00Z")]
    since: String,
}

/// One opt-out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct OptOutBody {
    success: bool,
    opt_out: OptOutShown,
}

/// Opt-outs, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct OptOutPage {
    success: bool,
    opt_outs: Vec<OptOutShown>,
    /// `cursor` of the next page.
    next: Option<String>,
}
