//! What the bots of all tenants do, followed while the files change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::Duration,
};

use chasqui_proto::Tenant;
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Definition, directory,
    follower::{Change, Follower},
    loaded::{Loaded, Source},
};
use crate::{Config, Error, problem::Problem};

/// What the bots of all tenants do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// Written by whoever follows the files, read with every message.
    loaded: Arc<RwLock<Arc<Loaded>>>,
    files: Option<Arc<Files>>,
}

/// Where the files are, how often they are looked at, and what they said at first.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    interval: Duration,
    sources: Vec<Source>,
}

impl Definitions {
    /// Reads every file of a directory.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(directory: &Path) -> Result<Self, Vec<Problem>> {
        let (loaded, _) = read(directory)?;
        Ok(Self::of_loaded(loaded, None))
    }

    /// What is allowed, but is probably not what was meant.
    pub fn doubts(&self) -> Vec<Problem> {
        self.loaded().doubts().cloned().collect()
    }

    /// What each file of a tenant amounts to, a line each, for `chasqui flow check`.
    pub fn summaries(&self) -> Vec<String> {
        self.loaded().summaries()
    }

    /// Reads the files of the configuration, all of which must be right.
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        let Some(directory) = config.definitions.clone() else {
            return Ok(Self::of_loaded(Loaded::new(&[], &Loaded::default()), None));
        };
        let (loaded, sources) = read(&directory).map_err(Error::Definitions)?;
        tell(&loaded, &Loaded::default());
        let interval = Duration::from_millis(config.definitions_interval_ms);
        Ok(Self::of_loaded(loaded, Some(Files { directory, interval, sources })))
    }

    fn of_loaded(loaded: Loaded, files: Option<Files>) -> Self {
        Self { loaded: Arc::new(RwLock::new(Arc::new(loaded))), files: files.map(Arc::new) }
    }

    /// What the bot of a tenant does now.
    pub(crate) fn of(&self, tenant: &Tenant) -> Arc<Definition> {
        self.loaded().of(tenant)
    }

    /// The tenants that have a file of their own.
    pub(crate) fn tenants(&self) -> Vec<Tenant> {
        self.loaded().tenants()
    }

    /// Why that is not what its files say.
    pub(crate) fn problem(&self, tenant: &Tenant) -> Option<String> {
        self.loaded().problem(tenant)
    }

    /// Reads the files again whenever they change, until stopped. A change counts once the files look the same twice: who
    /// is still writing one is not disturbed.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let Some(files) = &self.files else { return stop.cancelled().await };
        let mut follower = Follower::new(files.sources.clone());
        let mut look = interval(files.interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(look.tick()).await.is_some() {
            let directory = files.directory.clone();
            let look = move || {
                let change = follower.look(&directory);
                (follower, change)
            };
            let (next, change) = spawn_blocking(look).await.expect("a look does not panic");
            follower = next;
            match change {
                Change::None => {}
                Change::Away(problem) => self.put(Loaded::away(&self.loaded(), problem)),
                Change::Files(sources) => self.put(Loaded::new(&sources, &self.loaded())),
            }
        }
    }

    fn put(&self, loaded: Loaded) {
        tell(&loaded, &self.loaded());
        *self.loaded.write().expect("no holder of this lock panics") = Arc::new(loaded);
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.loaded.read().expect("no holder of this lock panics").clone()
    }
}

fn read(directory: &Path) -> Result<(Loaded, Vec<Source>), Vec<Problem>> {
    let seen = directory::look(directory).map_err(|error| vec![directory::away(directory, &error)])?;
    let sources = directory::read(&seen);
    let loaded = Loaded::new(&sources, &Loaded::default());
    let problems = loaded.problems();
    if problems.is_empty() { Ok((loaded, sources)) } else { Err(problems) }
}

/// Tells operators what was read, and what is wrong that was not before.
fn tell(loaded: &Loaded, last: &Loaded) {
    let known = last.problems();
    for problem in loaded.problems().iter().filter(|problem| !known.contains(problem)) {
        tracing::error!(%problem, "a file of the bot is wrong; what counted before goes on");
    }
    let known: Vec<_> = last.doubts().collect();
    for doubt in loaded.doubts().filter(|doubt| !known.contains(doubt)) {
        tracing::warn!(%doubt, "a file of the bot probably means something else");
    }
    let wrong_files = u32::try_from(loaded.wrong_files()).unwrap_or(u32::MAX);
    metrics::gauge!("chasqui_bot_definitions_wrong").set(f64::from(wrong_files));
    tracing::info!(wrong_files, "the definitions of the bot were read");
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use anyhow::Result;
    use chasqui_testkit::wait_for;
    use tempfile::TempDir;

    use super::*;
    use crate::language::Language;

    const SOON: Duration = Duration::from_secs(20);
    const SPANISH: &str = "language = \"es\"\n";
    const ENGLISH: &str = "language = \"en\"\n";

    struct Home {
        directory: TempDir,
        definitions: Definitions,
        stop: CancellationToken,
    }

    impl Drop for Home {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    fn tenant(name: &str) -> Tenant {
        name.parse().expect("it is a tenant")
    }

    impl Home {
        /// Files that are followed.
        fn with(files: &[(&str, &str)]) -> Result<Self> {
            let directory = tempfile::tempdir()?;
            fs::create_dir(directory.path().join("flows"))?;
            for (name, text) in files {
                fs::write(directory.path().join(name), text)?;
            }
            let definitions = Some(directory.path().to_owned());
            let config = Config { definitions, definitions_interval_ms: 100, ..Config::default() };
            let definitions = Definitions::open(&config)?;
            let home = Self { directory, definitions, stop: CancellationToken::new() };
            let (definitions, stop) = (home.definitions.clone(), home.stop.clone());
            tokio::spawn(async move { definitions.follow(stop).await });
            Ok(home)
        }

        fn write(&self, name: &str, text: &str) -> Result<()> {
            Ok(fs::write(self.directory.path().join(name), text)?)
        }

        fn language(&self, name: &str) -> Language {
            self.definitions.of(&tenant(name)).language()
        }

        async fn until(&self, claim: &str, is_right: impl Fn(&Self) -> bool) {
            wait_for(SOON, claim, async || is_right(self).then_some(())).await;
        }
    }

    #[tokio::test]
    async fn a_changed_file_counts_without_a_restart_and_a_removed_one_no_more() -> Result<()> {
        let home = Home::with(&[("default.toml", SPANISH), ("clinic.toml", ENGLISH)])?;
        assert_eq!((home.language("clinic"), home.language("other")), (Language::English, Language::Spanish));
        home.write("default.toml", ENGLISH)?;
        home.until("the change counts", |home| home.language("other") == Language::English).await;
        home.write("clinic.toml", SPANISH)?;
        home.until("another change counts", |home| home.language("clinic") == Language::Spanish).await;
        fs::remove_file(home.directory.path().join("clinic.toml"))?;
        home.until("the default counts", |home| home.language("clinic") == Language::English).await;
        fs::remove_file(home.directory.path().join("default.toml"))?;
        home.until("the built-in one counts", |home| {
            home.definitions.of(&tenant("other")).flows().len() == 1
        })
        .await;
        assert_eq!(home.definitions.problem(&tenant("clinic")), None);
        Ok(())
    }

    #[tokio::test]
    async fn a_wrong_file_changes_nothing_but_is_told_until_it_is_right() -> Result<()> {
        let home = Home::with(&[("default.toml", SPANISH), ("clinic.toml", ENGLISH)])?;
        home.write("clinic.toml", "language = \"fr\"\nx = 1\n")?;
        home.until("it is told", |home| home.definitions.problem(&tenant("clinic")).is_some()).await;
        let problem = home.definitions.problem(&tenant("clinic")).expect("it is there");
        assert!(problem.contains("clinic.toml:1:12: ") && problem.ends_with("(and 1 more)"), "{problem}");
        assert_eq!((home.language("clinic"), home.language("other")), (Language::English, Language::Spanish));
        assert_eq!(home.definitions.problem(&tenant("other")), None);
        // Others go on changing.
        home.write("default.toml", ENGLISH)?;
        home.until("another change counts", |home| home.language("other") == Language::English).await;
        home.write("clinic.toml", SPANISH)?;
        home.until("it is right again", |home| home.definitions.problem(&tenant("clinic")).is_none()).await;
        assert_eq!(home.language("clinic"), Language::Spanish);
        Ok(())
    }

    #[tokio::test]
    async fn a_wrong_flow_is_told_to_those_who_have_it() -> Result<()> {
        let home = Home::with(&[("clinic.toml", "flows = [\"appointment\"]\n"), ("default.toml", SPANISH)])?;
        home.write("flows/appointment.toml", "name = 3\n")?;
        home.until("it is told", |home| home.definitions.problem(&tenant("clinic")).is_some()).await;
        assert!(home.definitions.of(&tenant("clinic")).flow("appointment").is_some());
        assert_eq!(home.definitions.problem(&tenant("other")), None);
        fs::remove_file(home.directory.path().join("flows/appointment.toml"))?;
        home.until("it is right again", |home| home.definitions.problem(&tenant("clinic")).is_none()).await;
        Ok(())
    }

    #[tokio::test]
    async fn files_that_cannot_be_looked_at_stay_as_they_were() -> Result<()> {
        let home = Home::with(&[("default.toml", ENGLISH)])?;
        let (here, away) = (home.directory.path(), home.directory.path().with_extension("away"));
        fs::rename(here, &away)?;
        home.until("it is told", |home| home.definitions.problem(&tenant("any")).is_some()).await;
        assert_eq!(home.language("any"), Language::English);
        fs::write(away.join("default.toml"), SPANISH)?;
        fs::rename(&away, here)?;
        home.until("they are back", |home| home.language("any") == Language::Spanish).await;
        assert_eq!(home.definitions.problem(&tenant("any")), None);
        Ok(())
    }

    #[test]
    fn a_start_with_wrong_files_is_refused_with_everything_that_is_wrong() -> Result<()> {
        let directory = tempfile::tempdir()?;
        fs::create_dir(directory.path().join("flows"))?;
        for (name, text) in [
            ("default.toml", "language = \"fr\"\n"),
            ("Clinic.toml", SPANISH),
            ("flows/tour.toml", "name = 3\n"),
            (".hidden.toml", "x"),
            ("README.md", "x"),
        ] {
            fs::write(directory.path().join(name), text)?;
        }
        fs::write(directory.path().join("bytes.toml"), [0xff, 0xfe])?;
        let config = Config { definitions: Some(directory.path().to_owned()), ..Config::default() };
        let told = Definitions::open(&config).expect_err("they are wrong").to_string();
        for place in [
            "default.toml:1:12: ",
            "Clinic.toml:1:1: the file must",
            "tour.toml:1:",
            "bytes.toml:1:1: cannot",
        ] {
            assert!(told.contains(place), "{place}\n{told}");
        }
        assert!(!told.contains("hidden") && !told.contains("README"), "{told}");
        let nowhere = Config { definitions: Some(directory.path().join("nowhere")), ..Config::default() };
        assert!(
            Definitions::open(&nowhere).expect_err("it is not there").to_string().contains("cannot be read")
        );
        Ok(())
    }

    #[test]
    fn where_no_files_are_the_built_in_definition_counts() -> Result<()> {
        let definitions = Definitions::open(&Config::default())?;
        assert_eq!(definitions.of(&tenant("any")).flows()[0].name(), "appointment");
        Ok(())
    }
}
