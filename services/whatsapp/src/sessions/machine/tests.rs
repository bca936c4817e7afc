use chasqui_proto::v1::{LinkConnected, LinkDisconnected, LinkLoggedOut};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { session_timeout_ms: 180_000, retries_max: 3 };
const NOW: i64 = 1_800_000_000_000;

fn key() -> SessionKey {
    SessionKey::parse("default", "main").unwrap()
}

fn stored(status: SessionStatus) -> Session {
    let mut session = blank(&key());
    advance(&mut session, status, "", NOW - 1_000);
    session
}

fn linked(status: SessionStatus) -> Machine {
    Machine::resume(&key(), Some(stored(status)), false, LIMITS, NOW)
}

fn cloud() -> Machine {
    Machine::resume(&key(), None, true, LIMITS, NOW)
}

fn qr(code: &str, expires_at_ms: i64) -> LinkEvent {
    LinkEvent {
        what: Some(What::Qr(LinkQr { code: code.to_owned(), expires_at_ms })),
        ..LinkEvent::default()
    }
}

fn connected(phone: &str) -> LinkEvent {
    LinkEvent {
        what: Some(What::Connected(LinkConnected { phone: phone.to_owned() })),
        ..LinkEvent::default()
    }
}

fn disconnected() -> LinkEvent {
    LinkEvent {
        what: Some(What::Disconnected(LinkDisconnected { reason: "away".to_owned() })),
        ..LinkEvent::default()
    }
}

fn logged_out(reason: &str) -> LinkEvent {
    LinkEvent {
        what: Some(What::LoggedOut(LinkLoggedOut { reason: reason.to_owned() })),
        ..LinkEvent::default()
    }
}

/// Status and reason.
fn shown(machine: &Machine) -> (SessionStatus, &str) {
    (machine.session().status(), &machine.session().reason)
}

/// Lets time pass until nothing is due any more; says how much.
fn wait(machine: &mut Machine, from_ms: i64) -> i64 {
    let mut now_ms = from_ms;
    while let Some(at_ms) = machine.deadline_ms {
        now_ms = now_ms.max(at_ms);
        machine.tick(now_ms);
    }
    now_ms - from_ms
}

#[test]
fn wab_29_a_qr_is_the_same_for_its_lifetime() {
    let mut machine = linked(SessionStatus::Starting);
    machine.told(&qr("one", 0), NOW).unwrap();
    let first = machine.session().clone();
    assert_eq!((first.status(), first.qr_expires_at_ms), (SessionStatus::ScanQr, NOW + QR_LIFETIME_MS_MAX));
    let last = NOW + QR_LIFETIME_MS_MAX - 1;
    machine.told(&qr("one", 0), last).unwrap();
    machine.open(last);
    assert_eq!(machine.session(), &first);
    machine.told(&qr("two", last + 20_000), last).unwrap();
    assert_ne!(machine.session().qr, first.qr, "the connector says that the first one is over");
    assert_eq!(machine.session().qr_expires_at_ms, last + 20_000);
    assert!(machine.session().version > first.version);
}

#[test]
fn wab_10_who_is_connected_gets_no_qr() {
    let mut machine = linked(SessionStatus::Starting);
    machine.told(&connected("+54 9 11 0000-0001"), NOW).unwrap();
    machine.open(NOW + 1);
    assert_eq!(shown(&machine), (SessionStatus::Connected, ""));
    assert_eq!((machine.session().phone.as_str(), machine.is_open()), ("5491100000001", true));
}

#[test]
fn wab_39_whoever_waits_for_a_qr_is_told_in_the_end() {
    let mut machine = linked(SessionStatus::Starting);
    assert_eq!(wait(&mut machine, NOW), LIMITS.session_timeout_ms);
    assert_eq!(shown(&machine), (SessionStatus::Failed, "timeout"));
    assert!(!machine.runs() && machine.next_tick_ms().is_none(), "nobody wants it any more");
}

#[test]
fn wab_05_after_so_many_qrs_the_session_has_failed() {
    let mut machine = linked(SessionStatus::Starting);
    for code in 0..LIMITS.retries_max {
        machine.told(&qr(&code.to_string(), NOW + 20_000), NOW).unwrap();
        assert_eq!(shown(&machine).0, SessionStatus::ScanQr);
    }
    machine.told(&qr("more", NOW + 20_000), NOW).unwrap();
    assert_eq!((shown(&machine), machine.session().qr.as_str()), ((SessionStatus::Failed, "timeout"), ""));
    machine.told(&qr("late", NOW + 20_000), NOW).unwrap();
    assert_eq!(shown(&machine).0, SessionStatus::Failed);
    machine.open(NOW);
    assert_eq!((shown(&machine), machine.runs()), ((SessionStatus::Starting, ""), true));
}

#[test]
fn wab_29_a_qr_that_nobody_scans_gives_way_to_the_next_one() {
    let mut machine = linked(SessionStatus::Starting);
    machine.told(&qr("one", 0), NOW).unwrap();
    machine.tick(NOW + QR_LIFETIME_MS_MAX);
    assert_eq!((shown(&machine), machine.session().qr.as_str()), ((SessionStatus::Starting, ""), ""));
    wait(&mut machine, NOW + QR_LIFETIME_MS_MAX);
    assert_eq!(shown(&machine), (SessionStatus::Failed, "timeout"));
}

#[test]
fn wab_31_a_lost_connection_comes_back_or_fails_after_its_retries() {
    let mut machine = linked(SessionStatus::Starting);
    machine.told(&connected("5491100000001"), NOW).unwrap();
    machine.told(&disconnected(), NOW).unwrap();
    assert_eq!((shown(&machine), machine.is_open()), ((SessionStatus::Reconnecting, "away"), false));
    machine.told(&connected("5491100000001"), NOW).unwrap();
    assert!(machine.is_open());
    let mut pauses = Vec::new();
    for _ in 0..=LIMITS.retries_max {
        machine.told(&disconnected(), NOW).unwrap();
        machine.ended(NOW);
        pauses.push(machine.next_tick_ms().unwrap() - NOW);
        machine.tick(NOW + pauses.last().unwrap());
    }
    assert_eq!(pauses, [1_000, 1_000, 2_000, 15_000]);
    assert_eq!(shown(&machine), (SessionStatus::Failed, "away"));
    assert!(machine.runs(), "it was connected once: it is tried again from time to time");
    machine.told(&connected("5491100000001"), NOW).unwrap();
    assert!(machine.is_open());
}

#[test]
fn wab_19_who_is_logged_out_is_told_so() {
    for (reason, told) in [("", "logged_out"), ("logged_out", "logged_out"), ("replaced", "replaced")] {
        let mut machine = linked(SessionStatus::Connected);
        machine.told(&logged_out(reason), NOW).unwrap();
        assert_eq!((shown(&machine), machine.runs()), ((SessionStatus::LoggedOut, told), false));
        machine.told(&connected("5491100000001"), NOW).unwrap();
        assert_eq!(shown(&machine).0, SessionStatus::LoggedOut, "the word of a connector that was let go");
    }
    let mut machine = linked(SessionStatus::Connected);
    machine.close(NOW);
    assert_eq!(shown(&machine), (SessionStatus::LoggedOut, "logged_out"));
}

#[test]
fn a_take_over_is_shown_only_where_it_takes_long() {
    let before = stored(SessionStatus::Connected);
    let mut machine = linked(SessionStatus::Connected);
    assert_eq!((machine.session(), machine.is_open()), (&before, false));
    machine.told(&connected(""), NOW + 10).unwrap();
    assert_eq!((machine.session(), machine.is_open()), (&before, true));
    let mut machine = linked(SessionStatus::Connected);
    machine.tick(NOW + TAKEOVER_GRACE_MS);
    assert_eq!(shown(&machine), (SessionStatus::Reconnecting, "taken_over"));
}

#[test]
fn a_qr_outlives_its_owner() {
    let mut first = linked(SessionStatus::Starting);
    first.told(&qr("one", 0), NOW).unwrap();
    let mut second = Machine::resume(&key(), Some(first.session().clone()), false, LIMITS, NOW + 6_000);
    second.told(&qr("one", 0), NOW + 7_000).unwrap();
    assert_eq!(second.session(), first.session());
}

#[test]
fn a_refused_number_has_failed_and_is_asked_less_and_less_often() {
    let mut machine = cloud();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        machine.told(&logged_out("access token refused (190)"), NOW).unwrap();
        pauses.push((machine.next_tick_ms().unwrap() - NOW) / 60_000);
        machine.tick(machine.next_tick_ms().unwrap());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(shown(&machine), (SessionStatus::Failed, "access token refused (190)"));
    machine.told(&connected(""), NOW).unwrap();
    machine.halted("access token refused (190)", NOW + 5);
    assert_eq!(shown(&machine), (SessionStatus::Failed, "access token refused (190)"));
    assert_eq!(machine.next_tick_ms(), Some(NOW + 5 + 60 * 60_000), "it was connected for 5 ms only");
    machine.open(NOW + 6);
    assert_eq!((shown(&machine).0, machine.runs()), (SessionStatus::Starting, true));
}

#[test]
fn a_number_that_an_operator_closed_stays_so() {
    let mut machine = cloud();
    machine.told(&connected(""), NOW).unwrap();
    machine.close(NOW);
    let resumed = Machine::resume(&key(), Some(machine.session().clone()), true, LIMITS, NOW);
    assert_eq!((shown(&resumed), resumed.runs()), ((SessionStatus::Stopped, "closed"), false));
}

/// Why campaigns are held back, since when, and until when.
fn campaigns(machine: &Machine) -> (&str, i64, i64) {
    let session = machine.session();
    (&session.campaigns_halted, session.campaigns_halted_at_ms, session.campaigns_halted_until_ms)
}

const CAMPAIGN_PAUSE: i64 = 15 * 60 * 1_000;

#[test]
fn a_session_says_that_its_campaigns_are_refused_until_their_pause_is_over() {
    let mut machine = cloud();
    machine.told(&connected(""), NOW).unwrap();
    let before = machine.session().version;
    machine.campaigns_refused("spam limit\n (131048)", CAMPAIGN_PAUSE, NOW + 1);
    let halted = ("spam limit (131048)", NOW + 1, NOW + 1 + CAMPAIGN_PAUSE);
    assert_eq!((campaigns(&machine), machine.is_open()), (halted, true), "answers go on");
    assert!(machine.session().version > before);
    // It is told for other reasons, and by other owners.
    machine.told(&disconnected(), NOW + 2).unwrap();
    assert_eq!((campaigns(&machine), shown(&machine)), (halted, (SessionStatus::Reconnecting, "away")));
    let mut machine = Machine::resume(&key(), Some(machine.session().clone()), true, LIMITS, NOW + 3);
    machine.told(&connected(""), NOW + 4).unwrap();
    assert_eq!((campaigns(&machine), machine.next_tick_ms()), (halted, Some(halted.2)));
    // Refused again, the pause begins anew.
    machine.campaigns_refused("template paused (132015)", CAMPAIGN_PAUSE, NOW + 60_000);
    let again = ("template paused (132015)", NOW + 60_000, NOW + 60_000 + CAMPAIGN_PAUSE);
    machine.tick(again.2 - 1);
    assert_eq!(campaigns(&machine), again);
    let before = machine.session().version;
    machine.tick(again.2);
    assert_eq!((campaigns(&machine), machine.next_tick_ms()), (("", 0, 0), None));
    assert_eq!(shown(&machine), (SessionStatus::Connected, ""));
    assert!(machine.session().version > before, "it is told");
}

#[test]
fn a_refused_campaign_is_no_news_of_how_long_a_session_has_stood() {
    let mut machine = cloud();
    machine.told(&logged_out("access token refused (190)"), NOW).unwrap();
    let first = machine.next_tick_ms().unwrap() - NOW;
    machine.told(&connected(""), NOW).unwrap();
    let later = NOW + STEADY_MS;
    machine.campaigns_refused("spam limit (131048)", CAMPAIGN_PAUSE, later - 1);
    machine.halted("access token refused (190)", later);
    assert_eq!(machine.next_tick_ms(), Some(later + first), "the first failure after an hour");
}

#[test]
fn what_a_connector_says_wrong_is_named_and_changes_nothing() {
    let mut machine = linked(SessionStatus::Starting);
    let before = machine.session().clone();
    for (event, field) in [
        (qr("", 0), "link.qr.code"),
        (qr(&"x".repeat(1_025), 0), "link.qr.code"),
        (qr("x", NOW), "link.qr.expires_at_ms"),
        (LinkEvent::default(), "link"),
    ] {
        let told = machine.told(&event, NOW).unwrap_err().to_string();
        assert!(told.starts_with(field), "{told}");
        assert_eq!(machine.session(), &before);
    }
}

proptest! {
    #[test]
    fn versions_grow_and_nothing_hangs(steps in prop::collection::vec((0..9_u8, 0..200_000_i64), 0..60), is_cloud: bool) {
        let mut machine = Machine::resume(&key(), None, is_cloud, LIMITS, NOW);
        let (mut now_ms, mut before) = (NOW, machine.session().clone());
        for (step, pause_ms) in steps {
            now_ms += pause_ms;
            match step {
                0 => machine.open(now_ms),
                1 => machine.close(now_ms),
                2 => machine.halted("refused", now_ms),
                3 => machine.ended(now_ms),
                4 => drop(machine.told(&qr(&pause_ms.to_string(), 0), now_ms)),
                5 => drop(machine.told(&connected("5491100000001"), now_ms)),
                6 => drop(machine.told(&disconnected(), now_ms)),
                7 => machine.campaigns_refused("refused", CAMPAIGN_PAUSE, now_ms),
                _ => machine.tick(now_ms),
            }
            let after = machine.session();
            prop_assert!(after == &before || after.version > before.version);
            before = after.clone();
            let ends = matches!(
                after.status(),
                SessionStatus::Connected | SessionStatus::Stopped | SessionStatus::LoggedOut | SessionStatus::Failed
            );
            prop_assert!(ends || machine.deadline_ms.is_some(), "{:?} lasts for ever", after.status());
            prop_assert!(after.status() == SessionStatus::ScanQr || after.qr.is_empty());
        }
    }
}
