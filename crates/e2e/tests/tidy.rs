//! The rules of the architecture that a compiler does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use chasqui_proto::{service, stream, subject::LIVE_PREFIX};

#[path = "tidy/literal.rs"]
mod literal;

/// A file is one noun: past this there are two in it.
const FILE_LINES_MAX: usize = 450;

/// A title and a paragraph.
const README_LINES_MIN: usize = 5;

const SERVICES: [&str; 7] = [
    "chasqui-bot",
    "chasqui-bulk",
    "chasqui-edge",
    "chasqui-ingest",
    "chasqui-persistence",
    "chasqui-webhooks",
    "chasqui-whatsapp",
];

#[test]
fn arrows_point_from_proto_to_kit_to_services_to_the_binary_to_the_stories() {
    let below_services: &[&str] = &["chasqui-proto", "chasqui-kit"];
    let mut allowed = BTreeMap::from([
        ("chasqui-proto", vec![]),
        ("chasqui-testkit", vec![]),
        ("chasqui-websocket", vec![]),
        ("chasqui-callback", vec![]),
        ("chasqui-kit", vec!["chasqui-proto"]),
        ("chasqui-simulator", below_services.to_vec()),
        ("chasqui-bench", below_services.to_vec()),
        ("chasqui-campaign", below_services.to_vec()),
        ("chasqui-directory", below_services.to_vec()),
        ("chasqui-presence", below_services.to_vec()),
        ("chasqui-identity", below_services.to_vec()),
        ("chasqui-media", below_services.to_vec()),
        ("chasqui-responder", [below_services, &["chasqui-directory"]].concat()),
    ]);
    let parts = [
        "chasqui-callback",
        "chasqui-campaign",
        "chasqui-directory",
        "chasqui-identity",
        "chasqui-media",
        "chasqui-presence",
        "chasqui-responder",
        "chasqui-websocket",
    ];
    for service in SERVICES {
        allowed.insert(service, [below_services, &parts].concat());
    }
    let mut below_stories: Vec<&str> = allowed.keys().copied().collect();
    allowed.insert("chasqui", below_stories.clone());
    below_stories.push("chasqui");
    allowed.insert("chasqui-e2e", below_stories);
    check_each_package(|package, dependency, kind| {
        let is_ours = dependency.starts_with("chasqui");
        // Every crate may be tested against the real servers and the simulated outside world.
        let is_for_tests = kind == DependencyKind::Development
            && ["chasqui-testkit", "chasqui-simulator"].contains(&dependency);
        let may = allowed.get(package.name.as_str()).is_some_and(|allowed| allowed.contains(&dependency));
        let is_stray = is_ours && !may && !is_for_tests;
        is_stray.then(|| format!("{} must not depend on {dependency}", package.name))
    });
}

#[test]
fn only_persistence_speaks_sql() {
    check_only_on("sqlx", &["chasqui-persistence", "chasqui-testkit"]);
}

#[test]
fn the_broker_client_stays_behind_kit_where_it_can() {
    let with_client = [
        "chasqui-kit",
        "chasqui-testkit",
        "chasqui-bench",
        "chasqui-directory",
        "chasqui-responder",
        "chasqui",
        "chasqui-bot",
        "chasqui-bulk",
        "chasqui-edge",
        "chasqui-ingest",
        "chasqui-persistence",
        "chasqui-simulator",
        "chasqui-webhooks",
        "chasqui-whatsapp",
        "chasqui-e2e",
    ];
    check_only_on("async-nats", &with_client);
}

#[test]
fn proto_does_no_io() {
    let does_io =
        ["async-nats", "axum", "futures", "hyper", "reqwest", "sqlx", "tokio", "tokio-util", "tower"];
    check_each_package(|package, dependency, _| {
        let is_stray = package.name.as_str() == "chasqui-proto" && does_io.contains(&dependency);
        is_stray.then(|| format!("chasqui-proto must not depend on {dependency}"))
    });
}

#[test]
fn subjects_stand_only_in_proto() {
    let beginnings = subject_beginnings();
    let mut strays = Vec::new();
    for file in sources().into_iter().filter(|file| !file.starts_with(root().join("proto"))) {
        let text = fs::read_to_string(&file).expect("a source file is text");
        for literal in literal::outside_tests(&text) {
            if is_subject(&literal, &beginnings) {
                strays.push(format!("{}: {literal:?}", shown(&file)));
            }
        }
    }
    assert!(strays.is_empty(), "make these with chasqui_proto::subject:\n{}", strays.join("\n"));
}

#[test]
fn a_name_that_only_looks_like_a_subject_is_none() {
    let beginnings = subject_beginnings();
    for subject in
        ["messages.in.{tenant}", "live.>", "edge.contacts.x", "persistence.stats.get", "dlq.{service}"]
    {
        assert!(is_subject(subject, &beginnings), "{subject}");
    }
    for other in
        ["persistence.database_url", "messages. Then", "messages", "live", "edge.jwt_secret", "live. On"]
    {
        assert!(!is_subject(other, &beginnings), "{other}");
    }
}

#[test]
fn every_crate_is_introduced_by_its_readme() {
    for package in metadata().workspace_packages() {
        let directory = package.manifest_path.parent().expect("a manifest stands in a directory");
        let readme = fs::read_to_string(directory.join("README.md")).unwrap_or_default();
        let title = format!("# {}\n", package.name);
        assert!(readme.starts_with(&title), "{}: README.md must begin with {title:?}", package.name);
        assert!(readme.lines().count() >= README_LINES_MIN, "{}: README.md says too little", package.name);
        let root = ["lib.rs", "main.rs"].map(|file| directory.join("src").join(file));
        let root = root.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let included = root.starts_with("#![doc = include_str!(\"../README.md\")]\n");
        assert!(
            included,
            "{}: the README must be the crate's documentation, in its first line",
            package.name
        );
    }
}

#[test]
fn no_file_holds_two_nouns() {
    for file in sources().into_iter().chain(rust_files(|path| path.join("tests"))) {
        let lines = fs::read_to_string(&file).expect("a source file is text").lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{} has {lines} lines; {FILE_LINES_MAX} are too many already",
            shown(&file)
        );
    }
}

/// How every subject begins, from what proto declares: new streams and services are watched as soon as they are there.
fn subject_beginnings() -> BTreeSet<String> {
    let stored =
        stream::ALL.iter().flat_map(|stream| stream.subjects).map(|subject| subject.trim_end_matches('>'));
    let questions = [
        service::CONVERSATIONS_LIST.subject,
        service::MESSAGES_LIST.subject,
        service::EVENTS_SINCE.subject,
        service::STATS_GET.subject,
        service::PATIENTS_FIND.subject,
    ];
    let mut beginnings: BTreeSet<String> = stored.map(str::to_owned).collect();
    for question in questions {
        let (noun, _verb) = question.rsplit_once('.').expect("a request's subject has several tokens");
        beginnings.insert(format!("{noun}."));
    }
    beginnings.extend([LIVE_PREFIX.to_owned(), "edge.contacts.".to_owned()]);
    beginnings
}

/// After the beginning comes a token, a wildcard or a placeholder: prose goes on with a blank, or ends.
fn is_subject(literal: &str, beginnings: &BTreeSet<String>) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "*>{_".contains(c));
    beginnings.iter().any(|beginning| literal.strip_prefix(beginning.as_str()).is_some_and(goes_on))
}

fn check_only_on(dependency: &str, packages: &[&str]) {
    check_each_package(|package, found, _| {
        let is_stray = found == dependency && !packages.contains(&package.name.as_str());
        is_stray.then(|| format!("{} must not depend on {dependency}", package.name))
    });
}

fn check_each_package(stray: impl Fn(&Package, &str, DependencyKind) -> Option<String>) {
    let metadata = metadata();
    let strays: Vec<String> = metadata
        .workspace_packages()
        .into_iter()
        .flat_map(|package| package.dependencies.iter().map(move |dependency| (package, dependency)))
        .filter_map(|(package, dependency)| stray(package, &dependency.name, dependency.kind))
        .collect();
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps();
    command.exec().expect("cargo describes the workspace")
}

fn sources() -> Vec<PathBuf> {
    rust_files(|package| package.join("src"))
}

/// Every Rust file below one directory of each package.
fn rust_files(directory: impl Fn(&Path) -> PathBuf) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let packages = metadata()
        .workspace_packages()
        .into_iter()
        .map(|package| package.manifest_path.clone())
        .collect::<Vec<_>>();
    for manifest in packages {
        let package = manifest.parent().expect("a manifest stands in a directory");
        collect(&directory(package.as_std_path()), &mut files);
    }
    files
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the package stands two directories below the root").to_owned()
}
