//! What a simulation did, and what was wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::plan::KINDS_MIN;

/// A fault of the simulated world.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// A worker's process is killed and started again.
    CrashedWorker,
    /// The driver's process is killed and started again.
    CrashedDriver,
    /// The driver's machine loses its power; the folder is on another.
    CutPower,
    /// A published file is cut short.
    CutFile,
    /// A write or sync of the journal fails.
    FailingJournal,
    /// A call of the store ends with EIO.
    FailingStore,
    /// A bit of a published file changes.
    FlippedByte,
    /// The machine of a driver stops for a while: its clock advances, and nothing on it runs.
    FrozenDriver,
    /// A call of the store ends with ENOSPC.
    FullStore,
    /// Packets of a link wait.
    HeldPackets,
    /// Packets of a link take long.
    Latency,
    /// A published file is gone.
    LostFile,
    /// Packets from one host to another are dropped.
    OneWayPartition,
    /// Packets between two hosts are dropped.
    Partition,
    /// The power fails everywhere.
    PowerFailure,
    /// Calls of the store take long.
    SlowStore,
    /// A worker is asked to stop, and is started again.
    StoppedWorker,
}

/// How often each fault struck.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Strikes(pub BTreeMap<Fault, u64>);

impl Strikes {
    pub fn count(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    pub fn add(&mut self, fault: Fault, times: u64) {
        if times > 0 {
            *self.0.entry(fault).or_default() += times;
        }
    }

    pub fn add_all(&mut self, others: &Self) {
        for (&fault, &times) in &others.0 {
            self.add(fault, times);
        }
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (fault, times)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{fault:?} {times}")?;
        }
        Ok(())
    }
}

/// What drivers did.
#[derive(Clone, Copy, Debug, Default)]
pub struct DriverCounts {
    /// How often one was started.
    pub starts: u64,
    /// How often one began an epoch after one of another machine.
    pub takeovers: u64,
    /// How often a driver noticed that another had taken over, or may have.
    pub superseded: u64,
    /// How often a driver that stood by found the job done.
    pub not_needed: u64,
}

/// One simulated job.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    /// A hash of everything that driver, workers and network did, in order.
    pub trace: u64,
    pub virtual_time: Duration,
    pub drivers: DriverCounts,
    pub attempts: u64,
    pub stale_reports: u64,
    pub strikes: Strikes,
    /// How often an attempt read a run.
    pub runs_read: u64,
    /// Promises that were broken; none in a good run.
    pub findings: Vec<String>,
    /// The last lines that driver and workers logged.
    pub log: Vec<String>,
}

impl Report {
    /// For the person that has to find out why.
    pub fn text(&self) -> String {
        let mut text = format!("seed {}:\n", self.seed);
        for finding in &self.findings {
            text.push_str(&format!("  FOUND {finding}\n"));
        }
        text.push_str(&format!("  faults: {}\n", self.strikes));
        for line in &self.log {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }
}

/// Many simulated jobs.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Of all traces, in order of their seeds.
    pub trace: u64,
    pub jobs: u64,
    /// Jobs that were struck by as many kinds of faults as each has in its plan.
    pub struck: u64,
    pub virtual_time: Duration,
    pub drivers: DriverCounts,
    pub attempts: u64,
    pub stale_reports: u64,
    /// How often an attempt read a run.
    pub runs_read: u64,
    pub strikes: Strikes,
}

impl Total {
    pub fn of<'reports>(reports: impl IntoIterator<Item = &'reports Report>) -> Self {
        let mut total = Self::default();
        for report in reports {
            total.trace = total.trace.rotate_left(1) ^ report.trace;
            total.jobs += 1;
            total.struck += u64::from(report.strikes.0.len() >= KINDS_MIN);
            total.virtual_time += report.virtual_time;
            total.drivers.starts += report.drivers.starts;
            total.drivers.takeovers += report.drivers.takeovers;
            total.drivers.superseded += report.drivers.superseded;
            total.drivers.not_needed += report.drivers.not_needed;
            total.attempts += report.attempts;
            total.stale_reports += report.stale_reports;
            total.runs_read += report.runs_read;
            total.strikes.add_all(&report.strikes);
        }
        total
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.virtual_time.as_secs_f64() / 3600.0;
        let Self { trace, jobs, struck, attempts, stale_reports, strikes, .. } = self;
        let runs = self.runs_read;
        let DriverCounts { starts, takeovers, superseded, not_needed } = self.drivers;
        write!(
            f,
            "{jobs} jobs, {struck} of them struck by {KINDS_MIN} kinds of faults or more, {hours:.1} virtual hours, {starts} starts of drivers, \
             {takeovers} takeovers, {superseded} drivers superseded, {not_needed} not needed, {attempts} attempts, \
             {stale_reports} stale reports refused, {runs} runs read, trace {trace:016x}; faults that struck: {strikes}"
        )
    }
}
