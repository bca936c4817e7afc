//! What the kernel says about processes: CPU time and resident memory, from `/proc`.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;

use crate::clock::Clock;

/// The kernel counts CPU time in hundredths of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// Programs that belong to a deployment, as the kernel names them.
const PROGRAMS: [&str; 3] = ["chasqui", "nats-server", "postgres"];

/// What stands for every process that was not named.
const OTHERS: &str = "everything else";
/// How much of the machine others may use before it is worth telling, cores.
const OTHERS_CORES_MAX: f64 = 0.1;

/// What one process, or several of one name, used for a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// What it is called.
    pub name: String,
    /// CPU microseconds for each acknowledged message.
    pub us_per_message: f64,
    /// CPU cores in use, on average.
    pub cores: f64,
}

/// CPU time at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    at_us: u64,
    /// By process id: what it is called, and what it has used.
    processes: BTreeMap<u32, (String, Duration)>,
    /// What the whole machine has used.
    machine: Duration,
}

impl Snapshot {
    /// Reads the named processes with their children, or every process of the known programs where none is named; and
    /// ourselves.
    pub(crate) fn take(named: &[(String, u32)], clock: Clock) -> anyhow::Result<Self> {
        let ours = std::process::id();
        let mut processes = if named.is_empty() { found(ours)? } else { families(named, &parents()?) };
        processes.insert(ours, "bench itself".to_owned());
        let processes =
            processes.into_iter().filter_map(|(id, name)| Some((id, (name, cpu_of(id)?)))).collect();
        Ok(Self { at_us: clock.now_us(), processes, machine: cpu_of_machine()? })
    }

    /// What was used since an earlier snapshot, the most first, shared among so many messages. A process that began
    /// in between counts whole.
    pub(crate) fn since(&self, earlier: &Self, messages: u32) -> Vec<Usage> {
        let wall = Duration::from_micros(self.at_us - earlier.at_us);
        let mut used: BTreeMap<&str, Duration> = BTreeMap::new();
        for (id, (name, now)) in &self.processes {
            let before = earlier.processes.get(id).map_or(Duration::ZERO, |(_, before)| *before);
            *used.entry(name).or_default() += now.saturating_sub(before);
        }
        let known: Duration = used.values().sum();
        let others = self.machine.saturating_sub(earlier.machine).saturating_sub(known);
        used.insert(OTHERS, others);
        let usage = |(name, used): (&str, Duration)| Usage {
            name: name.to_owned(),
            us_per_message: used.as_secs_f64() * 1e6 / f64::from(messages.max(1)),
            cores: used.div_duration_f64(wall.max(Duration::from_millis(1))),
        };
        let mut usages: Vec<Usage> = used.into_iter().map(usage).collect();
        usages.sort_by(|one, other| other.cores.total_cmp(&one.cores));
        usages
    }
}

/// The cores that processes which were not named used, where that is worth telling.
pub(crate) fn others_cores(usages: &[Usage]) -> Option<f64> {
    let others = usages.iter().find(|usage| usage.name == OTHERS)?.cores;
    (others > OTHERS_CORES_MAX).then_some(others)
}

/// The services of the deployment by their ids: the named processes themselves, or every one of our programs.
pub(crate) fn services(named: &[(String, u32)]) -> anyhow::Result<BTreeMap<u32, String>> {
    if !named.is_empty() {
        return Ok(named.iter().map(|(name, id)| (*id, name.clone())).collect());
    }
    let mut services = found(std::process::id())?;
    services.retain(|_, name| name.starts_with(PROGRAMS[0]));
    Ok(services)
}

/// Every process of the known programs but ourselves, with its name.
fn found(ours: u32) -> anyhow::Result<BTreeMap<u32, String>> {
    Ok(ids()?.filter(|&id| id != ours).filter_map(|id| Some((id, name_of(id)?))).collect())
}

/// Each named process, and each that descends from one, under the name of the nearest: PostgreSQL's work is done by its
/// server's children.
fn families(named: &[(String, u32)], parents: &BTreeMap<u32, u32>) -> BTreeMap<u32, String> {
    let name_of = |id: u32| {
        let mut line = std::iter::successors(Some(id), |id| parents.get(id).copied());
        line.find_map(|id| named.iter().find(|(_, named)| *named == id)).map(|(name, _)| name.clone())
    };
    parents.keys().filter_map(|&id| Some((id, name_of(id)?))).collect()
}

/// The parent of every process.
fn parents() -> anyhow::Result<BTreeMap<u32, u32>> {
    let parent = |id: u32| parent_in_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?);
    Ok(ids()?.filter_map(|id| Some((id, parent(id)?))).collect())
}

fn parent_in_stat(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The id of every process.
fn ids() -> anyhow::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").context("/proc cannot be read")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

fn name_of(id: u32) -> Option<String> {
    let command = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    let program = PROGRAMS.into_iter().find(|program| command.trim() == *program)?;
    let line = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
    let argument = line.split('\0').nth(1).unwrap_or_default();
    Some(if program == "chasqui" { format!("{program} {argument}") } else { program.to_owned() })
}

fn cpu_of(id: u32) -> Option<Duration> {
    cpu_in_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// User and system time of `/proc/<id>/stat`. The name in parentheses may hold anything, so it is read from its end.
fn cpu_in_stat(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(TICK * times.next()?.ok()? + TICK * times.next()?.ok()?)
}

fn cpu_of_machine() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    busy_in_stat(&stat).context("/proc/stat holds no CPU line")
}

/// User, nice, system, irq and softirq time of all CPUs.
fn busy_in_stat(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u32> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6].into_iter().filter_map(|field| ticks.get(field));
    Some(busy.map(|&ticks| TICK * ticks).sum())
}

/// Resident memory of a process, KiB.
pub(crate) fn resident_kib(id: u32) -> anyhow::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))
        .with_context(|| format!("process {id} cannot be read"))?;
    resident_in_status(&status).with_context(|| format!("process {id} shows no memory"))
}

fn resident_in_status(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process on this machine that listens on a TCP port.
pub(crate) fn listener_of(port: u16) -> anyhow::Result<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_in_table(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holder = ids()?.find(|id| holds_any(Path::new(&format!("/proc/{id}/fd")), &sockets));
    holder.with_context(|| {
        format!("no process of this machine listens on port {port}; name the edge's process")
    })
}

/// The inodes of the sockets that listen on the port.
fn inodes_in_table(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let ending = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&ending) && *fields.get(3)? == LISTEN;
        listens.then(|| fields.get(9).map(|&inode| inode.to_owned())).flatten()
    };
    table.lines().filter_map(inode).collect()
}

fn holds_any(descriptors: &Path, sockets: &[String]) -> bool {
    let Ok(entries) = fs::read_dir(descriptors) else { return false };
    let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter_map(|target| target.to_str().map(ToOwned::to_owned))
        .any(|target| sockets.contains(&target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_in_stat(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_in_stat("42 (x) S 1"), None);
    }

    #[test]
    fn a_child_counts_for_the_nearest_that_is_named() {
        let named = [("up".to_owned(), 10), ("postgres".to_owned(), 11)];
        let parents = BTreeMap::from([(10, 1), (11, 10), (12, 11), (13, 10), (20, 1)]);
        let found: Vec<(u32, String)> = families(&named, &parents).into_iter().collect();
        let expected = [(10, "up"), (11, "postgres"), (12, "postgres"), (13, "up")];
        assert_eq!(found, expected.map(|(id, name)| (id, name.to_owned())));
        assert_eq!(parent_in_stat("42 (a) b) S 7 42 42"), Some(7));
    }

    #[test]
    fn idle_and_waiting_are_not_busy() {
        assert_eq!(busy_in_stat("cpu  100 10 50 9000 800 5 35 0 0 0\n"), Some(Duration::from_secs(2)));
    }

    #[test]
    fn our_own_memory_and_cpu_can_be_read() {
        let ours = std::process::id();
        assert!(resident_kib(ours).unwrap() > 100);
        assert!(cpu_of(ours).is_some());
        assert_eq!(resident_in_status("VmPeak:\t 9 kB\nVmRSS:\t    1234 kB\n"), Some(1_234));
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listener_of(port).unwrap(), std::process::id());
        drop(listener);
        assert!(listener_of(port).is_err());
    }
}
