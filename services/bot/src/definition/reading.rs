//! A definition, from the text of its file.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use super::{
    Definition, Rule,
    action::{self, Action},
    greeting::Greeting,
    handoff::Handoff,
    hours::Hours,
    ignored::{Ignored, list},
    model_settings::ModelSettings,
    rule::Trigger,
};
use chasqui_responder::FLOW_START;

use crate::{
    fields::{Fields, Found},
    flow::Flow,
    language::Language,
    problem::Problem,
};

/// Reads a definition; `flows` are all that there are. The problems are in the order of the file.
pub(super) fn read(file: &str, text: &str, flows: &[Arc<Flow>]) -> Result<Definition, Vec<Problem>> {
    let mut found = Found { file, text, problems: Vec::new() };
    let mut root = found.parse();
    // Of what is no TOML, only a part is understood, and what follows from that is not told: one problem a line.
    if !found.problems.is_empty() {
        found.problems.sort();
        found.problems.dedup_by_key(|problem| problem.line);
        return Err(found.problems);
    }
    let definition = read_tables(&mut root, &mut found, flows);
    root.finish(&mut found);
    check(&definition, &mut found);
    let mut problems = found.problems;
    if problems.is_empty() {
        return Ok(doubtful(definition, file, text));
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

fn read_tables<'t>(root: &mut Fields<'t>, found: &mut Found<'t>, flows: &[Arc<Flow>]) -> Definition {
    let language = root.take::<Language>(found, "language");
    let flows = read_flows(root, found, flows);
    let handoff = root.table(found, "handoff");
    let (model, personalities) = (root.table(found, "model"), root.tables(found, "personalities"));
    let rules = root.tables(found, "rules");
    let mut rules: Vec<Rule> =
        rules.into_iter().filter_map(|table| Rule::read(table, found, &flows)).collect();
    rules.sort_by_key(|rule| Reverse(rule.priority));
    Definition {
        language: language.map_or_else(Language::default, |language| language.value),
        handoff: Handoff::read(handoff, found),
        greeting: root.table(found, "greeting").and_then(|table| Greeting::read(table, found)),
        hours: root.table(found, "hours").and_then(|table| Hours::read(table, found)),
        ignored: root
            .table(found, "ignore")
            .map_or_else(Ignored::default, |table| Ignored::read(table, found)),
        model: ModelSettings::read(model, personalities, found, &flows),
        fallback: read_fallback(root, found, &flows),
        doubts: Vec::new(),
        flows,
        rules,
    }
}

fn read_flows<'t>(root: &mut Fields<'t>, found: &mut Found<'t>, known: &[Arc<Flow>]) -> Vec<Arc<Flow>> {
    let mut flows: Vec<Arc<Flow>> = Vec::new();
    for name in list(root, found, "flows") {
        let Some(flow) = known.iter().find(|flow| flow.name() == name.value) else {
            let known: Vec<_> = known.iter().map(|flow| flow.name()).collect();
            found.problem(
                name.span,
                format!("there is no flow `{}`; there are {}", name.value, known.join(", ")),
            );
            continue;
        };
        if flows.iter().any(|other| other.name() == name.value) {
            found.problem(name.span, format!("the flow `{}` stands here twice", name.value));
            continue;
        }
        let rival =
            flows.iter().find(|other| [other, &flow].iter().all(|flow| flow.is_started_by_event(FLOW_START)));
        if let Some(rival) = rival {
            let message =
                format!("the flows `{}` and `{}` both begin with `{FLOW_START}`", rival.name(), name.value);
            found.problem(name.span, message);
        }
        flows.push(flow.clone());
    }
    flows
}

fn read_fallback<'t>(root: &mut Fields<'t>, found: &mut Found<'t>, flows: &[Arc<Flow>]) -> Action {
    let Some(mut table) = root.table(found, "fallback") else { return Action::Silence };
    let problems = found.problems.len();
    let fallback = Action::read(&mut table, found, flows);
    if fallback.is_none() && found.problems.len() == problems {
        found.problem(
            table.span(),
            format!("`fallback` says nothing of what is done: one of {}", action::FIELDS),
        );
    }
    if fallback == Some(Action::Model) {
        found.problem(table.span(), "`fallback` must not be `model`: the model answers before it");
    }
    table.finish(found);
    fallback.unwrap_or(Action::Silence)
}

/// What only shows where everything is read.
fn check(definition: &Definition, found: &mut Found<'_>) {
    let mut names = HashMap::new();
    for rule in &definition.rules {
        let first = names.insert(rule.name.as_str(), rule);
        found.require(first.is_none(), rule.place.clone(), format!("another rule is named `{}`", rule.name));
        if rule.action == Action::Model && definition.model.is_none() {
            found.problem(rule.place.clone(), "`model` needs the table `model`");
        }
        if rule.depends_on_hours() && definition.hours.is_none() {
            found.problem(rule.place.clone(), "`when` needs the table `hours`");
        }
    }
    for (at, rule) in definition.rules.iter().enumerate() {
        if let Some(first) = definition.rules[..at].iter().find(|earlier| earlier.hides(rule)) {
            let message =
                format!("never matches: the rule `{}` comes before it and takes everything", first.name);
            found.problem(rule.place.clone(), message);
        }
    }
}

/// Notes what is probably not meant.
fn doubtful(mut definition: Definition, file: &str, text: &str) -> Definition {
    for keyword in definition.handoff.keywords() {
        let rule = definition
            .rules
            .iter()
            .find(|rule| matches!(&rule.trigger, Trigger::Keywords(words) if words.contains(&keyword.words)));
        let flow = definition.flows.iter().find(|flow| flow.language_of_keyword(&keyword.written).is_some());
        let other = rule
            .map(|rule| format!("the rule `{}`", rule.name))
            .or(flow.map(|flow| format!("the flow `{}`", flow.name())));
        if let Some(other) = other {
            let message =
                format!("`{}` gives the contact to people, before {other} sees it", keyword.written);
            definition.doubts.push(Problem::at(file, text, keyword.place.clone(), message));
        }
    }
    definition
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flows() -> Vec<Arc<Flow>> {
        Flow::built_in().into_iter().map(Arc::new).collect()
    }

    /// Every problem, each without the file's name.
    fn problems(text: &str) -> Vec<String> {
        let told = |problem: Problem| problem.to_string().replacen("t.toml:", "", 1);
        read("t.toml", text, &flows()).err().into_iter().flatten().map(told).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        let problems = problems(text);
        let is_right = problems.len() == expected.len()
            && problems.iter().zip(expected).all(|(problem, expected)| problem.contains(expected));
        assert!(is_right, "{text}\n{problems:#?}");
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_place() {
        let text = "language = \"fr\"\nflows = [\"appointment\", \"tour\", \"appointment\"]\ncolour = 1\n\
                    [greeting]\nevery_secs = 1\n\n[[rules]]\nname = \"a\"\nkeywords = []\nregex = \"[\"\n\
                    reply = \"x\"\nsilence = true\ndelay_ms = 99999999\n";
        check(
            text,
            &[
                "1:12: `language`: must be \"es\" or \"en\"",
                "2:25: there is no flow `tour`; there are appointment",
                "2:33: the flow `appointment` stands here twice",
                "3:1: `colour` is unknown; expected one of `language`, `flows`",
                "4:1: `text` is missing",
                "5:14: `every_secs` must be 60 to 2592000",
                "7:1: `keywords` and `regex` contradict each other: one of them",
                "7:1: `keywords` must not be empty",
                "7:1: `reply` and `silence` contradict each other: one of them",
                "10:9: `regex`: unclosed character class",
                "13:12: `delay_ms` must be 0 to 60000",
            ],
        );
    }

    #[test]
    fn what_is_not_toml_is_told_line_by_line() {
        check("language = \"es\"\nflows = [\n[greeting]\ntext = hello\n", &["3:2: ", "4:1: "]);
        check("language = \"es\"\nlanguage = \"en\"\n", &["2:1: duplicate key"]);
        check(
            "flows = 3\nrules = 4\nhours = []\n",
            &["1:9: `flows`", "2:9: `rules` must be a list", "3:9: `hours`"],
        );
    }

    #[test]
    fn rules_that_can_never_answer_are_refused() {
        check("[[rules]]\n", &["1:1: `name` is missing", "what is done", "what it is about"]);
        check("[[rules]]\nname = \"a\"\nall = true\n", &["1:1: the rule says nothing of what is done"]);
        check(
            "[[rules]]\nname = \"a\"\nsilence = true\n",
            &["1:1: the rule says nothing of what it is about"],
        );
        let all = "[[rules]]\nname = \"a\"\nall = true\nsilence = true\n";
        let named = "[[rules]]\nname = \"b\"\nkeywords = [\"x\"]\nsilence = true\n";
        check(&format!("{all}{named}"), &["5:1: never matches: the rule `a` comes before it"]);
        check(&format!("{all}{named}priority = 1\n"), &[]);
        check(&format!("{all}types = [\"text\"]\n{named}"), &[]);
        check(&format!("{all}types = [\"text\"]\n{named}types = [\"text\"]\n"), &["6:1: never matches"]);
        check(&format!("{named}{named}"), &["5:1: another rule is named `b`"]);
        check(&format!("{named}types = [\"texts\"]\n"), &["`texts` is no type of message"]);
        check(&format!("{named}when = \"open\"\n"), &["1:1: `when` needs the table `hours`"]);
        check(&format!("{named}when = \"never\"\n"), &["5:8: `when`: unknown variant `never`"]);
        check(
            &format!("{named}delay_ms = 1\ndebounce_ms = 1\n"),
            &["6:15: `delay_ms` and `debounce_ms` contradict each other"],
        );
        check(
            "[[rules]]\nname = \"a\"\nkeywords = [\"!\"]\nsilence = true\n",
            &["3:13: a keyword must have"],
        );
        check(
            "[[rules]]\nname = \"a\"\nall = false\nsilence = false\n",
            &["`all` must be true", "`silence` must"],
        );
        let large = "[[rules]]\nname = \"a\"\nregex = \"(\\\\w{500}){500}\"\nsilence = true\n";
        check(large, &["3:9: `regex`: it is larger than 1048576 bytes when compiled"]);
    }

    #[test]
    fn actions_that_cannot_be_done_are_refused() {
        let rule = |action: &str| format!("[[rules]]\nname = \"a\"\nall = true\n{action}\n");
        check(&rule("flow = \"appointment\""), &["4:8: `appointment` is not in `flows`, which has []"]);
        check(&format!("flows = [\"appointment\"]\n{}", rule("flow = \"appointment\"")), &[]);
        check(&rule("model = true"), &["1:1: `model` needs the table `model`"]);
        check(&rule("reply = []"), &["4:9: `reply` must have 1 to 10 texts"]);
        check(&rule("reply = \" \""), &["4:9: `reply`"]);
        check(&rule("reply = { fr = \"x\" }"), &["4:9: `reply`: expected a text"]);
        check(&rule("handoff = false"), &["4:11: `handoff` must be true, or what the contact is told"]);
        check("[fallback]\n", &["1:1: `fallback` says nothing of what is done"]);
        check("[fallback]\nmodel = true\n", &["1:1: `fallback` must not be `model`"]);
        check("[model]\non_failure.model = true\n", &["`on_failure` must say what is done instead"]);
        check("[model]\non_failure.reply = \"x\"\n", &[]);
    }

    #[test]
    fn personalities_are_told_apart() {
        let one = |id: u8, name: &str, more: &str| {
            let id = format!("0192f0c1-2f3a-7d57-8d0e-2f4a5c6b7a{id:02}");
            format!("[[personalities]]\nid = \"{id}\"\nname = \"{name}\"\nprompt = \"x\"\n{more}")
        };
        check(&one(1, "a", ""), &["1:1: `personalities` need the table `model`"]);
        check(&format!("[model]\n{}{}", one(1, "a", ""), one(1, "a", "")), &["the id", "the name `a`"]);
        let default = "default = true\n";
        check(
            &format!("[model]\n{}{}", one(1, "a", default), one(2, "b", default)),
            &["11:11: another personality is the default one"],
        );
        check(&format!("[model]\n{}", one(1, "a", "temperature = 2.5\n")), &["`temperature` must be 0 to 2"]);
        check("[model]\n[[personalities]]\nid = \"7\"\n", &["`name` is", "`prompt` is missing", "3:6: `id`"]);
        check("[model]\nanswer_tokens_max = 1\nhistory_messages = 101\n", &["2:21:", "3:20:"]);
        let text = format!("[model]\n{}{}", one(1, "a", ""), one(2, "b", default));
        let definition = read("t.toml", &text, &flows()).unwrap();
        let model = definition.model().unwrap();
        for (id, name) in [("", "b"), ("0192f0c1-2f3a-7d57-8d0e-2f4a5c6b7a01", "a"), ("gone", "b")] {
            assert_eq!(
                model.personality(id).map(|personality| personality.name.as_str()),
                Some(name),
                "{id}"
            );
        }
    }

    #[test]
    fn what_is_probably_not_meant_is_told_and_counts() {
        let text = "[handoff]\nkeywords = [\"Agente\", \"help\"]\n\
                    [[rules]]\nname = \"a\"\nkeywords = [\"agénte\"]\nsilence = true\n";
        let definition = read("t.toml", text, &flows()).unwrap();
        let doubts: Vec<_> = definition.doubts.iter().map(ToString::to_string).collect();
        assert_eq!(
            doubts,
            ["t.toml:2:13: `Agente` gives the contact to people, before the rule `a` sees it"]
        );
    }

    #[test]
    fn what_is_documented_is_right() {
        let documentation = include_str!("../../../../docs/bot.md");
        let example =
            documentation.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(problems(example), Vec::<String>::new());
        let (rules, rest) = example.split_once("# debounce_ms").unwrap();
        check(&format!("{rules}debounce_ms{rest}"), &["`delay_ms` and `debounce_ms` contradict"]);
        let definition = read("t.toml", example, &flows()).unwrap();
        assert_eq!((definition.rules.len(), definition.doubts.len()), (3, 0));
    }

    #[test]
    fn what_is_shipped_is_right() {
        let built_in = Definition::built_in();
        assert_eq!(built_in.doubts, []);
        assert_eq!(built_in.flows().len(), 1);
        let shipped = include_str!("../../definitions/default.toml");
        assert_eq!(problems(shipped), Vec::<String>::new());
        assert_eq!(read("t.toml", shipped, &flows()).unwrap().doubts, []);
        // What stands there as a comment is as right.
        let is_example = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '))
        };
        let with_examples = shipped.lines().map(|line| match line.strip_prefix("# ") {
            Some(example) if is_example(line) => example,
            _ => line,
        });
        let with_examples = with_examples.collect::<Vec<_>>().join("\n");
        assert_eq!(problems(&with_examples), Vec::<String>::new());
        let all = read("t.toml", &with_examples, &flows()).unwrap();
        let expected = "flows: appointment; rules: address, thanks, voice; \
                        language model: of the configuration (personalities: recepción)";
        assert_eq!(all.summary(), expected);
    }

    proptest! {
        #[test]
        fn no_file_does_harm(text in "(\\[\\[?(rules|hours|model|personalities|ignore|greeting)\\]?\\]\n|[a-z_]{1,8} = (\"[^\n]{0,9}|[0-9]{1,22}|\\[\"[0-9:-]{0,12}\"\\])\n|\\PC{0,9}\n){0,9}") {
            let _ = read("t.toml", &text, &flows());
        }

        #[test]
        fn a_file_that_is_cut_off_or_changed_does_no_harm(at in 0usize..4_000, with in "\\PC{0,3}") {
            let shipped = include_str!("../../definitions/default.toml");
            let at = shipped.floor_char_boundary(at.min(shipped.len()));
            for problem in read("t.toml", &format!("{}{with}", &shipped[..at]), &flows()).err().unwrap_or_default() {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }
}
