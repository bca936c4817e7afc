//! Where progress is shown: lines that are drawn again on a terminal, lines one after another everywhere else.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use chasqui_proto::v1::{BulkProgress, CampaignStatus};

use super::{bar, shown};
use crate::output::{self, Reader};

/// How often at most a campaign is told of where lines follow each other.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// The width of a terminal that does not tell its own.
const WIDTH: usize = 80;

/// How progress is shown.
pub(super) enum Screen {
    /// A bar for each campaign.
    Terminal {
        full: bool,
        /// How many lines were drawn, to be drawn again.
        drawn: usize,
    },
    /// A line for each news.
    Lines { json: bool, full: bool, pace: Pace },
}

/// What was said last of each campaign, and when.
#[derive(Default)]
pub(super) struct Pace {
    said: HashMap<String, (Instant, CampaignStatus, u64)>,
}

impl Screen {
    /// Bars where somebody looks, unless JSON is wanted.
    pub(super) fn new(json: bool, full: bool) -> Self {
        if !json && io::stdout().is_terminal() {
            return Self::Terminal { full, drawn: 0 };
        }
        Self::Lines { json, full, pace: Pace::default() }
    }

    /// Shows how the campaigns stand now.
    pub(super) fn show(&mut self, campaigns: &[&BulkProgress], now_ms: i64) -> io::Result<Reader> {
        match self {
            Self::Terminal { full, drawn } => {
                let width = width();
                let bars = campaigns.iter().map(|progress| bar::bar(progress, *full, now_ms, width));
                let text = drawing(*drawn, bars);
                *drawn = campaigns.len();
                return output::bytes(text.as_bytes());
            }
            Self::Lines { json, full, pace } => {
                let now = Instant::now();
                for progress in campaigns.iter().filter(|progress| pace.is_due(progress, now)) {
                    let line = if *json {
                        shown::progress(progress, *full).to_string()
                    } else {
                        bar::plain(progress, *full, now_ms)
                    };
                    if output::line(line)? == Reader::Left {
                        return Ok(Reader::Left);
                    }
                }
            }
        }
        Ok(Reader::Listens)
    }
}

impl Pace {
    /// Whether there is something new to say: at most so often, but each change of status.
    fn is_due(&mut self, progress: &BulkProgress, now: Instant) -> bool {
        let (status, version) = (progress.status(), progress.version);
        let is_due = match self.said.get(&progress.campaign) {
            None => true,
            Some((_, before, _)) if *before != status => true,
            Some((said, _, before)) => *before != version && now.duration_since(*said) >= LINE_EVERY,
        };
        if is_due {
            self.said.insert(progress.campaign.clone(), (now, status, version));
        }
        is_due
    }
}

/// Lines over those that were drawn before; what stood further right is cleared.
fn drawing(drawn: usize, lines: impl Iterator<Item = String>) -> String {
    let back = if drawn > 0 { format!("\u{1b}[{drawn}F") } else { String::new() };
    lines.fold(back, |text, line| text + &line + "\u{1b}[K\n")
}

/// The last column is left free, since some terminals go on in the next line behind it.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.unwrap_or(WIDTH) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_over_those_before() {
        let lines = || ["a".to_owned(), "b".to_owned()].into_iter();
        assert_eq!(drawing(0, lines()), "a\u{1b}[K\nb\u{1b}[K\n");
        assert_eq!(drawing(2, lines()), "\u{1b}[2Fa\u{1b}[K\nb\u{1b}[K\n");
    }

    #[test]
    fn a_campaign_is_told_of_once_a_second_and_at_each_change_of_its_status() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut check = |campaign: &str, version, status: CampaignStatus, after_ms, expected: bool| {
            let progress = BulkProgress {
                campaign: campaign.to_owned(),
                version,
                status: status.into(),
                ..BulkProgress::default()
            };
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(pace.is_due(&progress, now), expected, "{campaign} {version} after {after_ms} ms");
        };
        check("a", 1, CampaignStatus::Running, 0, true);
        check("a", 2, CampaignStatus::Running, 200, false);
        check("b", 1, CampaignStatus::Running, 200, true);
        check("a", 3, CampaignStatus::Paused, 400, true);
        check("a", 4, CampaignStatus::Paused, 1_200, false);
        check("a", 4, CampaignStatus::Paused, 1_400, true);
        check("a", 4, CampaignStatus::Paused, 9_000, false);
    }
}
