//! What was found when recipients were read. Pure.

use std::collections::BTreeMap;

use chasqui_proto::v1::{CampaignReport, RowProblem};
use prost::Message;

/// How many problems are told; the others are counted.
const PROBLEMS_MAX: usize = 1_000;
/// How many bytes they may have together: names of columns may be long, and they are kept with the campaign.
const PROBLEMS_BYTES_MAX: usize = 256 * 1024;

/// What is known so far. What persistence finds comes later than what is found here.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: u32,
    invalid: u32,
    duplicates: u32,
    opted_out: u32,
    /// By line: the first ones.
    problems: BTreeMap<u32, RowProblem>,
    problems_bytes: usize,
}

/// A row that cannot be written to.
pub(super) fn invalid(line: u32, field: &str, problem: String) -> RowProblem {
    RowProblem { line, kind: "invalid".to_owned(), field: field.to_owned(), problem }
}

impl Report {
    /// How many rows were read.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// A row was read, good or bad.
    pub(super) fn row(&mut self) {
        self.rows += 1;
    }

    /// One of the rows is not valid.
    pub(super) fn invalid(&mut self, problem: RowProblem) {
        self.invalid += 1;
        self.note(problem);
    }

    /// The contact of a row stands in an earlier one.
    pub(super) fn duplicate(&mut self, line: u32, first_line: u32) {
        self.duplicates += 1;
        let problem = format!("the same contact stands in line {first_line}");
        self.note(RowProblem { line, kind: "duplicate".to_owned(), problem, ..RowProblem::default() });
    }

    /// The contact of a row wants no campaigns.
    pub(super) fn opted_out(&mut self, line: u32) {
        self.opted_out += 1;
        let problem = "the contact wants no campaigns".to_owned();
        self.note(RowProblem { line, kind: "opted_out".to_owned(), problem, ..RowProblem::default() });
    }

    /// Everything is known.
    pub(super) fn finish(self) -> CampaignReport {
        let Self { rows, invalid, duplicates, opted_out, problems, .. } = self;
        CampaignReport {
            rows,
            accepted: rows.saturating_sub(invalid + duplicates + opted_out),
            invalid,
            duplicates,
            opted_out,
            problems: problems.into_values().collect(),
        }
    }

    fn note(&mut self, problem: RowProblem) {
        self.problems_bytes += problem.encoded_len();
        self.problems.insert(problem.line, problem);
        while self.problems.len() > PROBLEMS_MAX || self.problems_bytes > PROBLEMS_BYTES_MAX {
            let Some((_, left_out)) = self.problems.pop_last() else { return };
            self.problems_bytes -= left_out.encoded_len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_thousand_problems_are_told_and_all_are_counted() {
        let mut report = Report::default();
        for line in (2..=2_001).rev() {
            report.row();
            report.invalid(invalid(line, "telefono", "is needed".to_owned()));
        }
        // Found when everything behind it was read already.
        report.row();
        report.duplicate(1, 0);
        let report = report.finish();
        assert_eq!((report.rows, report.invalid, report.duplicates, report.accepted), (2_001, 2_000, 1, 0));
        let lines: Vec<u32> = report.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, (1..=1_000).collect::<Vec<_>>());
        assert_eq!(report.problems[0].kind, "duplicate");
    }

    #[test]
    fn long_names_of_columns_do_not_make_it_too_large_to_be_kept() {
        let mut report = Report::default();
        for line in 1..=1_000 {
            report.row();
            report.invalid(invalid(line, &"ñ".repeat(64), "x".repeat(1_000)));
        }
        let report = report.finish();
        assert!((200..300).contains(&report.problems.len()), "{}", report.problems.len());
        assert_eq!((report.invalid, report.problems[0].line), (1_000, 1));
        assert!(report.encoded_len() < 270 * 1024);
    }

    #[test]
    fn what_is_accepted_is_the_rest() {
        let mut report = Report::default();
        (0..10).for_each(|_| report.row());
        report.duplicate(3, 2);
        report.opted_out(4);
        report.invalid(invalid(5, "", String::new()));
        assert_eq!(report.rows(), 10);
        assert_eq!(report.finish().accepted, 7);
    }
}
