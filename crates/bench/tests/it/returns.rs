//! Many sockets at once, and clients that come back.

use chasqui_bench::{Dialect, Entrance, Findings, Mode, Options, Report, run};
use chasqui_testkit::NatsServer;

use crate::faults::options;
use crate::standin::{Fault, StandIn};

const DIALECTS: [Dialect; 2] = [Dialect::Crm, Dialect::Widget];

async fn measured(mode: Mode, dialect: Dialect, fault: Fault) -> Report {
    let nats = NatsServer::start().await.unwrap();
    let deployment = StandIn::start(fault).await;
    let options = options(mode, &nats, &deployment);
    let entrance = match dialect {
        Dialect::Crm => options.entrance.clone(),
        Dialect::Widget => Entrance::BotReply { api_key: "key".into() },
    };
    run(Options { dialect, entrance, ..options }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_at_every_socket_is_counted() {
    for rate_per_s in [Some(50), None] {
        let mode = Mode::FanOut { sockets: 20, rate_per_s, seconds: 1 };
        let report = measured(mode, Dialect::Crm, Fault::None).await;
        let Findings::FanOut(fan_out) = &report.findings else { panic!("{report}") };
        assert!(report.is_clean() && fan_out.account.acknowledged >= 50, "{report}");
        // The stand-in tells of each message twice: once by quoting it.
        assert_eq!(fan_out.frames, u64::from(fan_out.account.acknowledged) * 20 * 2, "{report}");
        assert!(fan_out.frames_per_s > 0.0 && fan_out.frames_per_core_s > 0.0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_back_are_timed_until_they_have_all_they_missed() {
    for dialect in DIALECTS {
        let mode = Mode::Resume { clients: 6, missed: 30, at_once: 2 };
        let report = measured(mode, dialect, Fault::None).await;
        let Findings::Resume(resume) = &report.findings else { panic!("{report}") };
        assert!(report.is_clean(), "{report}");
        assert!(resume.clients >= 6 && resume.complete.count == resume.clients, "{report}");
        assert!(resume.complete.p50_us > 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_given_all_it_missed_is_told() {
    let mode = Mode::Resume { clients: 1, missed: 30, at_once: 1 };
    let report = measured(mode, Dialect::Crm, Fault::ForgetsReturners).await;
    let Findings::Resume(resume) = &report.findings else { panic!("{report}") };
    assert_eq!((resume.incomplete, report.is_clean()), (1, false), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_clean_when_everybody_is_back_with_everything() {
    for dialect in DIALECTS {
        let mode = Mode::Storm { clients: 40, rate_per_s: 100, seconds: 2 };
        let report = measured(mode, dialect, Fault::None).await;
        let Findings::Storm(storm) = &report.findings else { panic!("{report}") };
        assert!(report.is_clean(), "{report}");
        assert_eq!((storm.clients, storm.back.count), (40, 40), "{report}");
        assert!(storm.readiness.asked > 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_storm_lost_is_told() {
    let mode = Mode::Storm { clients: 40, rate_per_s: 2_000, seconds: 2 };
    let report = measured(mode, Dialect::Crm, Fault::ForgetsReturners).await;
    let Findings::Storm(storm) = &report.findings else { panic!("{report}") };
    assert!(storm.account.lost > 0 && !report.is_clean(), "{report}");
}
