//! Every definition and flow, from the texts of their files.

use std::{collections::BTreeMap, sync::Arc};

use chasqui_proto::Tenant;

use super::{Definition, reading};
use crate::{flow::Flow, problem::Problem};

/// The tenant whose file counts for those who have none.
pub(super) const DEFAULT: &str = "default";

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// As it is told.
    pub(super) file: String,
    /// Its name without the ending: the tenant or the flow.
    pub(super) stem: String,
    pub(super) is_flow: bool,
    /// Its text, or why there is none.
    pub(super) text: Result<String, String>,
}

/// Every definition and flow as it counts: where a file is wrong, as it was before.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Those that are built in too.
    flows: BTreeMap<String, Arc<Flow>>,
    definitions: BTreeMap<String, Arc<Definition>>,
    built_in: Option<Arc<Definition>>,
    wrong_flows: BTreeMap<String, Vec<Problem>>,
    wrong_definitions: BTreeMap<String, Vec<Problem>>,
    /// Why the files cannot be looked at.
    away: Option<Problem>,
}

impl Loaded {
    /// What these files say; what they do not say right is kept from `last`.
    pub(super) fn new(sources: &[Source], last: &Self) -> Self {
        let mut loaded = Self { built_in: Some(Arc::new(Definition::built_in())), ..Self::default() };
        for flow in Flow::built_in() {
            loaded.flows.insert(flow.name().to_owned(), Arc::new(flow));
        }
        for source in sources.iter().filter(|source| source.is_flow) {
            let stem = source.stem.clone();
            match read_flow(source) {
                Ok(flow) => _ = loaded.flows.insert(stem, Arc::new(flow)),
                Err(problems) => {
                    loaded.flows.extend(
                        last.flows.get_key_value(&stem).map(|(name, flow)| (name.clone(), flow.clone())),
                    );
                    loaded.wrong_flows.insert(stem, problems);
                }
            }
        }
        let flows: Vec<_> = loaded.flows.values().cloned().collect();
        for source in sources.iter().filter(|source| !source.is_flow) {
            let stem = source.stem.clone();
            match read_definition(source, &flows) {
                Ok(definition) => _ = loaded.definitions.insert(stem, Arc::new(definition)),
                Err(problems) => {
                    let kept = last.definitions.get_key_value(&stem);
                    loaded
                        .definitions
                        .extend(kept.map(|(name, definition)| (name.clone(), definition.clone())));
                    loaded.wrong_definitions.insert(stem, problems);
                }
            }
        }
        loaded
    }

    /// The same while the files cannot be looked at.
    pub(super) fn away(last: &Self, problem: Problem) -> Self {
        Self {
            flows: last.flows.clone(),
            definitions: last.definitions.clone(),
            built_in: last.built_in.clone(),
            wrong_flows: last.wrong_flows.clone(),
            wrong_definitions: last.wrong_definitions.clone(),
            away: Some(problem),
        }
    }

    /// What the bot of a tenant does.
    pub(super) fn of(&self, tenant: &Tenant) -> Arc<Definition> {
        let own = self.definitions.get(tenant.as_str()).or_else(|| self.definitions.get(DEFAULT));
        let definition = own.or(self.built_in.as_ref());
        definition.expect("every one that is made has the built-in one").clone()
    }

    /// The tenants that have a file of their own.
    pub(super) fn tenants(&self) -> Vec<Tenant> {
        self.definitions.keys().filter_map(|name| name.parse().ok()).collect()
    }

    /// What each file of a tenant amounts to.
    pub(super) fn summaries(&self) -> Vec<String> {
        let line =
            |(name, definition): (&String, &Arc<Definition>)| format!("{name}: {}", definition.summary());
        self.definitions.iter().map(line).collect()
    }

    /// Everything that is wrong, in the order of the files.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let wrong = self.wrong_flows.values().chain(self.wrong_definitions.values()).flatten();
        self.away.iter().chain(wrong).cloned().collect()
    }

    /// Everything that is probably not meant.
    pub(super) fn doubts(&self) -> impl Iterator<Item = &Problem> {
        self.definitions.values().flat_map(|definition| &definition.doubts)
    }

    /// Why the definition of a tenant is not the one in its files.
    pub(super) fn problem(&self, tenant: &Tenant) -> Option<String> {
        let has_own =
            |name: &str| self.definitions.contains_key(name) || self.wrong_definitions.contains_key(name);
        let name = if has_own(tenant.as_str()) { tenant.as_str() } else { DEFAULT };
        let definition = self.of(tenant);
        let wrong_flows = definition.flows().iter().filter_map(|flow| self.wrong_flows.get(flow.name()));
        let mut wrong =
            self.away.iter().chain(self.wrong_definitions.get(name).into_iter().chain(wrong_flows).flatten());
        let first = wrong.next()?;
        Some(match wrong.count() {
            0 => first.to_string(),
            more => format!("{first} (and {more} more)"),
        })
    }

    /// How many files are not as they count.
    pub(super) fn wrong_files(&self) -> usize {
        self.wrong_flows.len() + self.wrong_definitions.len() + usize::from(self.away.is_some())
    }
}

fn read_flow(source: &Source) -> Result<Flow, Vec<Problem>> {
    let told = |text: &str, message: String| vec![Problem::at(&source.file, text, 0..0, message)];
    let text = source.text.as_ref().map_err(|error| told("", error.clone()))?;
    let flow = Flow::parse(&source.file, text)?;
    if flow.name() == source.stem {
        return Ok(flow);
    }
    Err(told(text, format!("the flow `{}` must be in a file `{0}.toml`", flow.name())))
}

fn read_definition(source: &Source, flows: &[Arc<Flow>]) -> Result<Definition, Vec<Problem>> {
    let told = |message: String| vec![Problem::at(&source.file, "", 0..0, message)];
    source
        .stem
        .parse::<Tenant>()
        .map_err(|error| told(format!("the file must be named after a tenant: {error}")))?;
    let text = source.text.as_ref().map_err(|error| told(error.clone()))?;
    reading::read(&source.file, text, flows)
}
