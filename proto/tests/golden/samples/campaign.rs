//! Campaigns: what they are, who they write to, and what is asked of them.

use chasqui_proto::v1::{
    AdvanceCampaign, AppendRecipients, BulkProgress, Campaign, CampaignAction, CampaignAdvanced,
    CampaignPage, CampaignPlan, CampaignReport, CampaignStatus, ChangeCampaign, CreateCampaign, DueCampaign,
    DueCampaigns, DuplicateRow, FailureCount, GetCampaign, ListCampaigns, ListDueCampaigns, ListOptOuts,
    ListRecipients, ListUnsettled, OptOut, OptOutPage, OptOutRemoved, PutOptOut, QuietHours, Ramp, Recipient,
    RecipientCounts, RecipientPage, RecipientState, RecipientsAppended, RemoveOptOut, RowProblem,
    SealCampaign, Session, UnsettledPage,
};

use super::{Sample, contact, cursor, error, message, sample, tenant, token};

const AT_MS: i64 = 1_760_000_007_000;
const LATER_MS: i64 = 1_760_000_008_000;
const ID: &str = "0d9a4a5e-0000-4000-8000-000000000005";
const UPLOAD: &str = "0d9a4a5e-0000-4000-8000-000000000006";

pub(crate) fn all() -> Vec<Sample> {
    let id = || ID.to_owned();
    vec![
        sample("campaign", &campaign()),
        sample("recipient", &recipient()),
        sample("create-campaign", &create()),
        sample(
            "append-recipients",
            &AppendRecipients { tenant: tenant(), id: id(), upload: upload(), recipients: vec![recipient()] },
        ),
        sample(
            "recipients-appended",
            &RecipientsAppended {
                duplicates: vec![DuplicateRow { line: 7, first_line: 3 }],
                opted_out: vec![4, 9],
            },
        ),
        sample("seal-campaign", &seal()),
        sample("get-campaign", &GetCampaign { tenant: tenant(), id: id() }),
        sample("list-campaigns", &list()),
        sample("campaign-page", &CampaignPage { campaigns: vec![campaign()], next: cursor() }),
        sample("change-campaign", &change()),
        sample("list-recipients", &recipients()),
        sample("recipient-page", &RecipientPage { recipients: vec![recipient()], next: cursor() }),
        sample("list-due-campaigns", &ListDueCampaigns { limit: 64 }),
        sample(
            "due-campaigns",
            &DueCampaigns { campaigns: vec![DueCampaign { tenant: tenant(), id: id() }] },
        ),
        sample("advance-campaign", &advance()),
        sample(
            "campaign-advanced",
            &CampaignAdvanced { campaign: Some(campaign()), recipients: vec![recipient()] },
        ),
        sample("list-unsettled", &unsettled()),
        sample("unsettled-page", &UnsettledPage { recipients: vec![recipient()] }),
        sample("opt-out", &opt_out()),
        sample("put-opt-out", &PutOptOut { tenant: tenant(), conversation: token() }),
        sample("remove-opt-out", &RemoveOptOut { tenant: tenant(), conversation: token() }),
        sample("opt-out-removed", &OptOutRemoved { removed: true }),
        sample("list-opt-outs", &ListOptOuts { tenant: tenant(), cursor: cursor(), limit: 50 }),
        sample("opt-out-page", &OptOutPage { opt_outs: vec![opt_out()], next: cursor() }),
        sample("bulk-progress-receipts", &progress()),
        sample("bulk-progress-after-end", &after_end()),
        sample("session-campaigns-halted", &halted()),
    ]
}

fn upload() -> String {
    UPLOAD.to_owned()
}

fn plan() -> CampaignPlan {
    CampaignPlan {
        message: Some(message()),
        scheduled_at_ms: AT_MS,
        time_zone: "America/Argentina/Buenos_Aires".to_owned(),
        quiet_hours: Some(QuietHours { from_minute: 1_260, to_minute: 540 }),
        rate_per_minute: 4_800,
        ramp: Some(Ramp { from_per_minute: 60, over_secs: 900 }),
        message_ttl_secs: 86_400,
    }
}

fn failures() -> Vec<FailureCount> {
    vec![FailureCount { code: 131_026, title: "Message undeliverable".to_owned(), count: 3 }]
}

fn report() -> CampaignReport {
    CampaignReport {
        rows: 30,
        accepted: 24,
        invalid: 3,
        duplicates: 2,
        opted_out: 1,
        problems: vec![RowProblem {
            line: 5,
            kind: "invalid".to_owned(),
            field: "phone".to_owned(),
            problem: "must be a phone number with its country code".to_owned(),
        }],
    }
}

fn campaign() -> Campaign {
    Campaign {
        tenant: tenant(),
        id: ID.to_owned(),
        name: "Vacunación".to_owned(),
        status: CampaignStatus::Running.into(),
        plan: Some(plan()),
        counts: Some(RecipientCounts {
            total: 25,
            pending: 5,
            queued: 4,
            sent: 3,
            delivered: 6,
            read: 2,
            failed: 3,
            skipped: 1,
            cancelled: 1,
        }),
        failures: failures(),
        error: "spam limit (131048)".to_owned(),
        created_by: "u-1".to_owned(),
        created_at_ms: AT_MS,
        started_at_ms: AT_MS,
        ended_at_ms: LATER_MS,
        updated_at_ms: LATER_MS,
        version: 12,
        report: Some(report()),
    }
}

fn recipient() -> Recipient {
    Recipient {
        line: 3,
        contact: contact().aliases.into_iter().next(),
        name: "Contacto Ñandú".to_owned(),
        variables: [("monto".to_owned(), "1.500".to_owned())].into(),
        state: RecipientState::Failed.into(),
        conversation: token(),
        message_id: UPLOAD.to_owned(),
        attempt: 2,
        error: Some(error()),
        queued_at_ms: AT_MS,
        updated_at_ms: LATER_MS,
    }
}

fn create() -> CreateCampaign {
    CreateCampaign {
        tenant: tenant(),
        id: ID.to_owned(),
        name: "Vacunación".to_owned(),
        plan: Some(plan()),
        created_by: "u-1".to_owned(),
        upload: upload(),
    }
}

fn seal() -> SealCampaign {
    SealCampaign {
        tenant: tenant(),
        id: ID.to_owned(),
        upload: upload(),
        digest: vec![1, 2, 3],
        report: Some(report()),
        start: true,
        discard: true,
    }
}

fn list() -> ListCampaigns {
    ListCampaigns { tenant: tenant(), status: CampaignStatus::Draft.into(), cursor: cursor(), limit: 50 }
}

fn change() -> ChangeCampaign {
    ChangeCampaign {
        tenant: tenant(),
        id: ID.to_owned(),
        action: CampaignAction::Stop.into(),
        scheduled_at_ms: AT_MS,
        error: "spam limit (131048)".to_owned(),
        ownership: 9,
    }
}

fn recipients() -> ListRecipients {
    ListRecipients {
        tenant: tenant(),
        id: ID.to_owned(),
        state: RecipientState::Skipped.into(),
        cursor: cursor(),
        limit: 1_000,
    }
}

fn advance() -> AdvanceCampaign {
    AdvanceCampaign {
        tenant: tenant(),
        id: ID.to_owned(),
        ownership: 9,
        told_version: 11,
        limit: 100,
        window: 240,
    }
}

fn unsettled() -> ListUnsettled {
    ListUnsettled { tenant: tenant(), id: ID.to_owned(), ownership: 9, after_line: 3, limit: 500 }
}

fn opt_out() -> OptOut {
    OptOut { tenant: tenant(), conversation: token(), source: "keyword".to_owned(), since_ms: AT_MS }
}

fn progress() -> BulkProgress {
    BulkProgress {
        tenant: tenant(),
        campaign: ID.to_owned(),
        status: CampaignStatus::Scheduled.into(),
        name: "Vacunación".to_owned(),
        delivered: 8,
        read: 2,
        skipped: 1,
        queued: 4,
        failures: failures(),
        rate_per_second: 78.5,
        remaining_secs: Some(40),
        waits_for: "quiet_hours".to_owned(),
        waits_until_ms: LATER_MS,
        version: 12,
        after_end: true,
        started_at_ms: AT_MS,
        ended_at_ms: LATER_MS,
        ..BulkProgress::default()
    }
}

fn after_end() -> BulkProgress {
    BulkProgress { after_end: true, end_seq: 4_711, ..BulkProgress::default() }
}

fn halted() -> Session {
    Session {
        campaigns_halted: "spam limit (131048)".to_owned(),
        campaigns_halted_at_ms: AT_MS,
        campaigns_halted_until_ms: LATER_MS,
        ..Session::default()
    }
}
