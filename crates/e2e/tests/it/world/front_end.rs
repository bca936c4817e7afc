use std::collections::VecDeque;

use chasqui_testkit::Program;
use serde_json::Value;

use super::DEADLINE;

/// A front end of the systems before: a script of `crates/e2e/clients` over its real client library.
pub(crate) struct FrontEnd {
    program: Program,
    /// What it said and nobody asked about yet.
    said: VecDeque<Value>,
}

impl FrontEnd {
    pub(crate) fn open(script: &str, arguments: &[&str]) -> Self {
        Self { program: Program::node(script, arguments).unwrap(), said: VecDeque::new() }
    }

    /// A bot, which knows where everything is by its environment.
    pub(crate) fn bot(script: &str, environment: &[(&str, &str)]) -> Self {
        Self { program: Program::bot(script, environment).unwrap(), said: VecDeque::new() }
    }

    pub(crate) fn does(&mut self, command: &Value) {
        self.program.write_line(&command.to_string());
    }

    /// The first thing of this kind that nobody asked about yet.
    pub(crate) async fn says(&mut self, is: &str) -> Value {
        self.finds(is, |_| true).await
    }

    /// The first thing of this kind that fits, among those nobody asked about yet.
    pub(crate) async fn finds(&mut self, is: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(index) = self.said.iter().position(|line| line["is"] == is && fits(line)) {
                return self.said.remove(index).expect("it was found there");
            }
            self.said.push_back(self.program.json(DEADLINE, &format!("the front end says {is}")).await);
        }
    }

    /// Everything it said that nobody asked about, until it says `is`.
    pub(crate) async fn everything_before(&mut self, is: &str) -> Vec<Value> {
        self.says(is).await;
        std::mem::take(&mut self.said).into()
    }
}
