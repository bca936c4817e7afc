//! A flow as a script, for those who read what contacts are told.

use std::fmt;

use super::{
    Flow,
    call::{Call, Condition},
    choice::Choice,
    question::Question,
    state::{State, Target, Unknown},
};
use crate::language::{Language, Text};

/// A flow as a script: every state with what it says, what it waits for, what it asks of others and where it leads.
#[derive(Clone, Debug)]
pub struct Script<'f> {
    pub(super) flow: &'f Flow,
}

impl Script<'_> {
    fn name(&self, target: Target) -> &str {
        match target {
            Target::State(index) => &self.flow.states[index].name,
            Target::Handoff => "handoff",
            Target::Exit => "exit",
            Target::Completed => "the end",
        }
    }

    fn state(&self, state: &State, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", state.name)?;
        self.call("before: ", state.before.as_ref(), f)?;
        state.prompts.iter().try_for_each(|prompt| text(prompt, f))?;
        if let Question::Choice(Choice::Fixed(options)) = &state.question {
            for (index, option) in options.iter().enumerate() {
                let labels: Vec<&str> = option.label.all().collect();
                writeln!(f, "    {}. {} ({})", index + 1, labels.join(" / "), option.id)?;
            }
        }
        if !matches!(state.question, Question::Message) {
            writeln!(
                f,
                "  input: {} as {}",
                state.question.kind(),
                state.save.as_deref().unwrap_or("nothing")
            )?;
        }
        if let Unknown::To(target) = state.unknown {
            writeln!(f, "  not understood → {}", self.name(target))?;
        }
        self.call("after: ", state.after.as_ref(), f)?;
        for branch in &state.branches {
            writeln!(f, "  {} → {}", conditions(&branch.when), self.name(branch.to))?;
        }
        writeln!(f, "  → {}", self.name(state.next))
    }

    fn call(&self, when: &str, call: Option<&Call>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(call) = call else { return Ok(()) };
        let only =
            if call.when.is_empty() { String::new() } else { format!(" if {}", conditions(&call.when)) };
        let with: Vec<String> = call.with.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        writeln!(f, "  {when}{}({}){only}", call.name, with.join(", "))?;
        for refusal in &call.refusals {
            let to = refusal.to.map_or("asks again", |target| self.name(target));
            writeln!(f, "  refused, {} → {to}", refusal.reason)?;
            refusal.text.iter().try_for_each(|refused| text(refused, f))?;
        }
        Ok(())
    }
}

fn conditions(when: &[Condition]) -> String {
    let condition =
        |condition: &Condition| format!("{} = {}", condition.value, condition.one_of.join(" or "));
    when.iter().map(condition).collect::<Vec<_>>().join(" and ")
}

fn text(text: &Text, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for language in
        [Language::Spanish, Language::English].into_iter().filter(|language| text.is_in(*language))
    {
        let indented = text.of(language).trim().replace('\n', "\n        ");
        writeln!(f, "    {}: {indented}", language.code())?;
    }
    Ok(())
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.flow.states[self.flow.start].name;
        writeln!(f, "flow {}, version {}, starts at {start}", self.flow.name, self.flow.version)?;
        self.flow.states.iter().try_for_each(|state| self.state(state, f))
    }
}
