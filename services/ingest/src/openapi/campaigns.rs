//! What the document shows of campaigns.

use utoipa::{ToSchema, openapi::Object};

/// A campaign as it is handed in.
#[derive(ToSchema)]
#[schema(example = json!({
    "name": "Turnos de diciembre",
    "message": { "type": "template", "template": { "name": "recordatorio", "language": { "code": "es_AR" } } },
    "template_variables": ["nombre", "fecha"],
    "recipients": [
        { "to": "5491100000001", "name": "Ana", "variables": { "nombre": "Ana", "fecha": "1 de diciembre" } }
    ],
    "scheduled_at": "2026-12-01T09:00",
    "time_zone": "America/Argentina/Buenos_Aires",
    "quiet_hours": { "from": "21:00", "to": "09:00" },
    "rate_per_minute": 600
}))]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignBody {
    /// For people, 1 to 200 characters.
    name: String,
    /// A text; or `type` and the content of that type, and `callback_data`, as `/api/whatsapp/send` takes them. `{{column}}`
    /// in any text is the recipient's. No reactions, and no `context`.
    message: Object,
    /// Columns that become the parameters of a template's body, in order; for a template without a component of type
    /// `body`.
    template_variables: Option<Vec<String>>,
    /// Sent instead where WhatsApp takes only a template: the Cloud API's `template`.
    fallback_template: Option<Object>,
    /// Needed, but left out beside a file. At most as many as fit 8 MiB; a phone number alone is a recipient too.
    recipients: Option<Vec<CampaignRecipient>>,
    /// Through which session: a phone number id or the name of a linked device. Default: the tenant's usual one.
    session: Option<String>,
    /// It begins by itself. Default: where `scheduled_at` says when; else it is a draft.
    start: Option<bool>,
    /// When it begins, within a year: a moment, or a time in `time_zone`.
    scheduled_at: Option<String>,
    /// IANA name, also for `quiet_hours`. Default UTC.
    time_zone: Option<String>,
    /// When nothing is sent.
    quiet_hours: Option<CampaignQuietHours>,
    /// The most messages a minute, 1 to 60,000. Default: as fast as the number sends.
    rate_per_minute: Option<u32>,
    /// How it begins slowly; with `rate_per_minute`.
    ramp: Option<CampaignRamp>,
    /// After how many seconds a message that waits makes no sense any more, 1 to 604,800. Default 86,400.
    expires_in_s: Option<u32>,
    /// The column of the file that the number stands in. Default: `phone`, `to`, `telefono`, `numero`, `celular`, `movil`
    /// or `whatsapp`, with accents or without.
    phone_column: Option<String>,
    /// Everything is read and checked, and nothing kept.
    dry_run: Option<bool>,
}

/// A recipient.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignRecipient {
    /// A phone number with its country code.
    #[schema(example = "5491100000001")]
    to: String,
    /// The contact's name; `{{name}}` as well.
    name: Option<String>,
    /// What takes the places of `{{column}}`, at most 1,024 characters each.
    variables: Option<Object>,
}

/// A stretch of each day.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignQuietHours {
    #[schema(example = "21:00")]
    from: String,
    #[schema(example = "09:00")]
    to: String,
}

/// Growing evenly to the campaign's rate.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignRamp {
    /// Less than `rate_per_minute`.
    from_per_minute: u32,
    /// 1 to 86,400.
    over_secs: u32,
}

/// A campaign with a file of recipients.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignForm {
    /// As in the body of JSON, without `recipients`. It comes first.
    campaign: CampaignBody,
    /// CSV in UTF-8, at most 64 MiB, 1,000,000 rows and 32 columns: a line that names the columns, then one for each
    /// recipient. Separated by commas, semicolons or tabs. A column `name` or `nombre` is the contact's name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A campaign that was made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignMade {
    success: bool,
    /// It is not kept.
    dry_run: bool,
    campaign: CampaignState,
    report: CampaignFound,
}

/// A campaign that was not made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignRefused {
    success: bool,
    /// Names the field and what was expected.
    #[schema(example = "message: the file has no column fecha; its columns are telefono, nombre")]
    error: String,
    /// Where recipients were read, and nobody was left.
    report: Option<CampaignFound>,
}

/// One campaign.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignShown {
    success: bool,
    campaign: CampaignState,
    /// Not there while recipients are being read.
    report: Option<CampaignFound>,
}

/// A campaign after something was done with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignChanged {
    success: bool,
    campaign: CampaignState,
}

/// Campaigns, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignPage {
    success: bool,
    campaigns: Vec<CampaignState>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// When a draft begins.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of a body that is read by hand")]
pub(crate) struct CampaignStart {
    /// A moment, or a time in `time_zone`. Default now.
    #[schema(example = "2026-12-01T09:00")]
    scheduled_at: Option<String>,
    /// Default: the campaign's.
    time_zone: Option<String>,
}

/// How a campaign stands. Times are ISO 8601; `null` stands for never.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignState {
    #[schema(example = "0ccc3c6c-0d67-578e-ba28-43109c020d32")]
    id: String,
    name: String,
    /// `uploading`, `draft`, `scheduled`, `running`, `paused`, `completed`, `cancelled` or `failed`.
    #[schema(example = "running")]
    status: String,
    counts: CampaignCounts,
    /// Why recipients failed, the most frequent reasons first.
    failures: Vec<CampaignFailure>,
    /// Why it stopped by itself.
    error: Option<String>,
    /// As it was handed in, and through which `session` it goes.
    plan: Object,
    /// A user, or a key.
    created_by: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    updated_at: Option<String>,
}

/// How many recipients are in each state; each is in one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignCounts {
    total: u32,
    pending: u32,
    queued: u32,
    sent: u32,
    delivered: u32,
    read: u32,
    failed: u32,
    skipped: u32,
    cancelled: u32,
}

/// How many failed for one reason.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignFailure {
    /// WhatsApp's; 0 where it has none.
    #[schema(example = 131_026)]
    code: i64,
    title: String,
    count: u32,
}

/// What was found when recipients were read.
#[derive(ToSchema)]
#[schema(example = json!({
    "rows": 3, "accepted": 1, "invalid": 1, "duplicates": 1, "opted_out": 0,
    "problems": [
        { "line": 3, "kind": "invalid", "field": "telefono", "problem": "must be a phone number with its country code, such as 5491100000001" },
        { "line": 4, "kind": "duplicate", "field": "", "problem": "the same contact stands in line 2" }
    ]
}))]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignFound {
    /// `accepted`, `invalid`, `duplicates` and `opted_out` together.
    rows: u32,
    accepted: u32,
    invalid: u32,
    duplicates: u32,
    opted_out: u32,
    /// The first 1,000, in order of their lines.
    problems: Vec<CampaignProblem>,
}

/// Why a row is not written to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct CampaignProblem {
    /// The line in the file, the header being 1; of a list the position, from 1.
    line: u32,
    /// `invalid`, `duplicate` or `opted_out`.
    kind: String,
    /// The column; empty where the row as a whole is meant.
    field: String,
    problem: String,
}

/// Recipients, in order of their lines.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct RecipientPageShown {
    success: bool,
    recipients: Vec<RecipientShown>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// A recipient, and what became of its message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of an answer that is put together by hand")]
pub(crate) struct RecipientShown {
    line: u32,
    #[schema(example = "5491100000001")]
    to: String,
    name: Option<String>,
    /// `pending`, `queued`, `sent`, `delivered`, `read`, `failed`, `skipped` or `cancelled`.
    #[schema(example = "failed")]
    state: String,
    /// Under which its statuses come.
    message_id: Option<String>,
    /// Which message to this contact it is, from 1.
    attempt: u32,
    /// WhatsApp's.
    #[schema(example = 131_026)]
    error_code: Option<i64>,
    error: Option<String>,
    queued_at: Option<String>,
    updated_at: Option<String>,
}
