//! What people who write flows are told.

use super::*;

/// What is told of a file, a line each.
fn told(text: &str) -> Vec<String> {
    Flow::parse("f.toml", text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What is told of a flow of these states, without places.
fn told_of(states: &str) -> Vec<String> {
    let told = told(&format!("name = \"test\"\nstart = \"a\"\n{states}"));
    told.iter().map(|line| line.splitn(4, ':').last().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_problem_of_a_file_is_told_at_once_with_its_place() {
    let expected: Vec<&str> = include_str!("wrong.txt").lines().collect();
    assert_eq!(told(include_str!("wrong.toml")), expected);
}

#[test]
fn every_error_of_syntax_is_told_at_once() {
    let told = told("name = \nstart = \"a\"\nstart = \"b\"\n[[states]\nname = 'x\n");
    assert!(told.len() >= 4, "{told:#?}");
    assert!(
        told[0].starts_with("f.toml:1:") && told.iter().any(|line| line.ends_with("duplicate key")),
        "{told:#?}"
    );
}

#[test]
fn a_file_without_anything_is_told_what_it_lacks() {
    let expected = [
        "f.toml:1:1: `name` is missing",
        "f.toml:1:1: `start` is missing",
        "f.toml:1:1: there must be 1 to 200 [[states]]",
    ];
    assert_eq!(told(""), expected);
    assert_eq!(told(&" ".repeat(300 * 1024)), ["f.toml:1:1: must have at most 262144 bytes"]);
}

#[test]
fn a_state_that_nothing_leads_to_is_told() {
    let states = r#"
        states = [
            { name = "a", next = "exit" }, { name = "b", next = "c" }, { name = "c", next = "b" },
        ]"#;
    let expected = [
        "nothing leads to the state `b`",
        "these go on in a circle and never ask anything: b → c → b",
        "nothing leads to the state `c`",
    ];
    assert_eq!(told_of(states), expected);
}

#[test]
fn there_are_at_most_so_many_states() {
    let states = |count: usize| {
        let state = |index: usize| format!("{{ name = \"s{index}\", next = \"s{}\" }},", index + 1);
        let states: String = (2..count).map(state).collect();
        let last = format!("{{ name = \"s{count}\", end = true }}");
        told_of(&format!("states = [{{ name = \"a\", next = \"s2\" }}, {states}{last}]"))
    };
    assert_eq!(states(200), Vec::<String>::new());
    assert_eq!(states(201), ["there must be 1 to 200 [[states]]"]);
    assert_eq!(states(5_000), ["there must be 1 to 200 [[states]]"]);
}

#[test]
fn a_value_that_is_not_there_on_every_way_is_told() {
    let states = r#"
        [[states]]
        name = "a"
        prompt = "¿?"
        input = "text"
        save = "said"
        branches = [{ when = { said = "x" }, to = "b" }]
        next = "c"
        [[states]]
        name = "b"
        prompt = "¿?"
        input = "choice"
        options = [{ id = "1", label = "{said}" }]
        save = "picked"
        next = "c"
        [[states]]
        name = "c"
        prompt = "{said} {picked.label}"
        end = true
    "#;
    let expected = [
        "{said} is not there in every state in which this is said",
        "{picked.label} is not there on every way that leads here",
    ];
    assert_eq!(told_of(states), expected);
}

#[test]
fn what_only_a_condition_gives_is_there_only_under_it() {
    let states = |next: &str| {
        format!(
            r#"
            [[states]]
            name = "a"
            prompt = "¿?"
            input = "text"
            save = "said"
            after = {{ call = "book", when = {{ said = "x" }}, save = ["number"] }}
            branches = [{{ when = {{ said = "x" }}, to = "b" }}]
            next = "{next}"
            [[states]]
            name = "b"
            prompt = "{{number}}"
            end = true
            "#
        )
    };
    assert_eq!(told_of(&states("exit")), Vec::<String>::new());
    assert_eq!(told_of(&states("b")), ["{number} is not there on every way that leads here"]);
}

#[test]
fn options_of_a_search_need_a_search_on_every_way() {
    let states = r#"
        [[states]]
        name = "a"
        prompt = "¿?"
        input = "search"
        after = { call = "find", refused = [{ reason = "not_found", to = "b" }] }
        next = "b"
        [[states]]
        name = "b"
        prompt = "¿?"
        input = "choice"
        options_from = "search"
        unknown = "b"
        next = "exit"
    "#;
    let told = told_of(states);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("`options_from = \"search\"`: not every way")
            && told[1].starts_with("`unknown` must name")
    );
}

#[test]
fn a_contact_waits_for_a_few_calls_only() {
    let state = |index: usize, next: &str| {
        format!("[[states]]\nname = \"s{index}\"\nbefore = {{ call = \"c\" }}\nnext = \"{next}\"\n")
    };
    let chain: String = (0..8).map(|index| state(index, &format!("s{}", index + 1))).collect();
    let asked = "[[states]]\nname = \"a\"\nprompt = \"¿?\"\ninput = \"text\"\nnext = \"s0\"\n";
    assert!(told_of(&format!("{asked}{chain}[[states]]\nname = \"s8\"\nend = true")).is_empty());
    let told = told_of(&format!("{asked}{chain}{}", state(8, "exit")));
    assert_eq!(told, ["after `a` there are more than 8 calls before the contact is asked again"]);
    let talkative =
        "[[states]]\nname = \"a\"\nprompt = [\"1\", \"2\", \"3\", \"4\", \"5\"]\nnext = \"exit\"\n";
    let link = |from: &str, to: &str| talkative.replace("\"a\"", from).replace("exit", to);
    let chain = [link("\"a\"", "b"), link("\"b\"", "c"), link("\"c\"", "d"), link("\"d\"", "e")].concat();
    assert!(told_of(&format!("{chain}[[states]]\nname = \"e\"\nend = true")).is_empty());
    let told = told_of(&format!("{chain}{}", link("\"e\"", "exit")));
    assert_eq!(told, ["after `a` there are more than 20 messages before the contact is asked again"]);
}

#[test]
fn the_example_of_the_documentation_is_a_flow() {
    let text = include_str!("../../../../../docs/flows.md");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let flow = parsed(example);
    let mut talk = Talk::begin(&flow, Language::English);
    talk.say("09/03/2026");
    assert_eq!(talk.said(), "How was it on 09/03/2026?\n\n1. Good\n2. Bad");
    assert_eq!(talk.say("BAD").end, End::Handoff);
    let misspelt = example.replace("next = \"asking_rating\"", "next = \"asking_ratng\"").replacen(
        "{day.label}?",
        "{dya.label}?",
        1,
    );
    let told = told(&misspelt);
    let documented: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("flows/opinion.toml:")).collect();
    let told: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("f.toml:")).collect();
    assert_eq!(told, documented);
}
