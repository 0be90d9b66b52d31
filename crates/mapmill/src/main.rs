//! The program `mapmill`: flags in, messages and exit codes out.
//!
//! Exit codes: 0 done; 1 the job ran and failed; 2 it could not start; 3 another driver took over;
//! 130 interrupted. A closed pipe on stdout is 0. Only this file ends the process.

mod certs;
mod clean;
mod contact;
mod copying;
mod disk_advice;
mod documents;
mod export;
mod findings;
mod flags;
mod fleet;
mod globs;
mod invitation;
mod lifeline;
mod log;
mod machine;
mod messages;
mod numbers;
mod progress;
mod report;
mod shell;
mod stamp;
mod standby;
mod status;
mod terminal;
mod top;
mod verbosity;
mod verify;
mod way_out;
mod why;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Parser;
use driver::{EarlyEnd, OnConflict, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use flags::{
    Command, DriverRequest, ExportRequest, Flags, RunRequest, Show, StatusRequest, WorkerRequest,
};
use messages::{Failure, Warning};
use stamp::Speaker;
use standby::StandbyError;
use verbosity::Verbosity;

fn main() -> ExitCode {
    machine::refuse_writes_by_others();
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => return flags::parse_error(&error),
    };
    let result = match flags.command {
        Command::Certs(flags) => certs::certs(&flags),
        Command::Clean(request) => clean::print(&request),
        Command::Completions(request) => documents::completions(&request),
        Command::Driver(request) => request.try_into().and_then(drive),
        Command::Export(request) => request.try_into().and_then(export),
        Command::Man(request) => documents::man(&request),
        Command::Run(request) => request.try_into().and_then(run),
        Command::Status(request) => request.try_into().and_then(status),
        Command::Top(request) => top::print(&request),
        Command::Verify(request) => verify::print(&request),
        Command::Why(request) => why::print(&request),
        Command::Worker(request) => request.try_into().and_then(work),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => messages::failure(&failure),
    }
}

/// `mapmill driver`
fn drive(request: DriverRequest) -> Result<(), Failure> {
    log::start(request.show.verbosity, Some(Speaker::Driver));
    machine::raise_open_files_limit();
    runtime(2)?.block_on(async {
        let is_interrupted = Arc::default();
        let interrupted = interrupted(&is_interrupted)?;
        let listen = request.config.listen.address.clone();
        let prepared = prepare(request.config, request.show, request.on_conflict, is_interrupted)?;
        let Some(prepared) = prepared else { return Ok(()) };
        let prepared = prepared.expecting_workers();
        let address = prepared.address();
        let called = invitation::called(&listen, address);
        let prepared = prepared.announced(called, driver::host_name());
        let command = invitation::worker(&listen, address, &request.keys);
        if request.show.verbosity > Verbosity::Quiet {
            messages::say(format_args!(
                "waiting for workers on {}; start one with: {command}",
                prepared.listens_on()
            ));
        }
        let snapshots = watch::channel(driver::Snapshot::default());
        let interrupted = async {
            interrupted.await;
            EarlyEnd::Interrupted
        };
        execute(prepared, command, request.show, snapshots, interrupted).await
    })
}

/// `mapmill run`
fn run(request: RunRequest) -> Result<(), Failure> {
    log::start(request.show.verbosity, Some(Speaker::Driver));
    machine::raise_open_files_limit();
    let runtime = runtime(2)?;
    // The job runs on a thread of the runtime, as the calls of the workers do. With few threads,
    // the one that has read a call also does the work for which it waits: no other is woken.
    let job = runtime.spawn(run_here(request));
    runtime.block_on(job).unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Runs the driver in this process, and each worker in a process of its own.
async fn run_here(request: RunRequest) -> Result<(), Failure> {
    let is_interrupted = Arc::default();
    let interrupted = interrupted(&is_interrupted)?;
    let prepared = prepare(request.config, request.show, OnConflict::Refuse, is_interrupted)?;
    let prepared = prepared.expect("the job of this command is not done by another");
    let address = prepared.address().to_string();
    let prepared = prepared.announced(address, driver::host_name());
    let fleet = fleet::Fleet::new(&prepared, &request.workers)?;
    if request.show.verbosity > Verbosity::Quiet {
        messages::say(format_args!(
            "{} on this machine, driver on {}",
            numbers::plural(request.workers.count.get(), "worker", "workers"),
            prepared.listens_on()
        ));
    }
    let (stop, stopped) = oneshot::channel();
    let (give_up, gave_up) = oneshot::channel();
    // The driver begins to listen while the workers start.
    let keeper = tokio::spawn(fleet.keep(stopped, give_up));
    // Both branches are cancel safe, and either ends the job.
    let ended_early = async {
        tokio::select! {
            () = interrupted => EarlyEnd::Interrupted,
            () = until(gave_up) => EarlyEnd::NoWorkers,
        }
    };
    let command = format!("mapmill worker --driver {}", prepared.address());
    let snapshots = watch::channel(driver::Snapshot::default());
    let progress = snapshots.1.clone();
    let result = execute(prepared, command, request.show, snapshots, ended_early).await;
    // If the fleet has failed, it has ended already, and its result says why.
    let _ = stop.send(());
    match keeper.await {
        Ok(Err(failure)) if result.is_err() => {
            let has_commits = progress.borrow().has_commits();
            Err(if has_commits { failure.of_job() } else { failure })
        }
        Ok(_) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// `None` if another driver has finished the job while this one stood by.
fn prepare(
    config: driver::Config,
    show: Show,
    on_conflict: OnConflict,
    is_interrupted: Arc<AtomicBool>,
) -> Result<Option<driver::Prepared>, Failure> {
    let unprotected = config.listen.unprotected;
    let (files, listen) = (config.files.clone(), config.listen.address.clone());
    let prepared = match on_conflict {
        OnConflict::Refuse => {
            let waiting = standby::waiting(on_conflict, show.verbosity, is_interrupted);
            driver::prepare(config, waiting).map(Some).map_err(StandbyError::Start)
        }
        OnConflict::StandBy => standby::prepare(config, show.verbosity, is_interrupted),
    };
    terminal::erase();
    let prepared = prepared.map_err(|error| match error {
        StandbyError::Failed { files } => Failure::done_elsewhere(&files),
        StandbyError::Start(error) => {
            let advice = if let StartError::NotLoopback { .. } = error {
                Some(invitation::to_certificates(&listen))
            } else {
                let is_resumable = !matches!(error, StartError::Copy { .. });
                error.disk().map(|fault| disk_advice::advice(&files, fault, is_resumable))
            };
            let way_out = way_out::of_start(&error);
            Failure::not_started(error).hint(way_out).advise(advice)
        }
    })?;
    let Some(prepared) = prepared else { return Ok(None) };
    if let Some(repeated) = &prepared.notes().repeated {
        messages::warn(&Warning::RepeatedInput(repeated.clone()), show.verbosity);
    }
    if let Some(left_out) = &prepared.notes().left_out {
        messages::warn(&Warning::LeftOut(left_out.clone()), show.verbosity);
    }
    let formats = prepared.formats();
    if !formats.is_empty() && show.verbosity >= Verbosity::Normal {
        messages::say(format_args!("reading {}", findings::formats(&formats)));
    }
    if let Some((path, hundredths)) = prepared.larger_than_a_share() {
        let path = path.into_owned();
        messages::warn(&Warning::OnePiece { path, hundredths }, show.verbosity);
    }
    if prepared.replaces_results() {
        let files = prepared.files().to_owned();
        messages::warn(&Warning::ReplacesResults { files }, show.verbosity);
    }
    if let Some((maps, reduces)) = prepared.resumes() {
        messages::say(format_args!(
            "resuming the job in {}: {} of {} and {} of {} are done (--fresh starts over)",
            prepared.files().display(),
            numbers::grouped(maps.into()),
            numbers::plural(prepared.map_tasks(), "map task", "map tasks"),
            numbers::grouped(reduces.into()),
            numbers::plural(prepared.reduce_tasks(), "reduce task", "reduce tasks"),
        ));
    }
    let exposed = prepared.addresses().iter().find(|address| !rpc::is_loopback(address.ip()));
    if let Some(&address) = exposed.filter(|_| unprotected) {
        // Printed with --quiet too: a script may start the driver, and its user must know.
        messages::warn(&Warning::Insecure { address }, show.verbosity.max(Verbosity::Normal));
    }
    Ok(Some(prepared))
}

/// `worker` is the command that starts a worker for this driver.
async fn execute(
    prepared: driver::Prepared,
    worker: String,
    show: Show,
    (snapshots, watcher): (watch::Sender<driver::Snapshot>, watch::Receiver<driver::Snapshot>),
    ended_early: impl Future<Output = EarlyEnd>,
) -> Result<(), Failure> {
    let (running, over) = oneshot::channel();
    let progress = progress::show(watcher, over, worker, show.verbosity);
    let progress = tokio::spawn(progress);
    let (files, is_resumable) = (prepared.files().to_owned(), prepared.is_resumable());
    let result = prepared.run(snapshots, ended_early).await;
    // This ends the progress, which prints its last state.
    drop(running);
    let _ = progress.await;
    match result {
        Ok(summary) => report::print(&summary, show),
        Err(error) => {
            report::print_failure(&error, show, is_resumable);
            let advice = |fault| disk_advice::advice(&files, fault, is_resumable);
            let of_disk = error.disk().map(advice);
            let advice = of_disk.or_else(|| way_out::of_failed_attempts(&error));
            let way_out = way_out::of_job(&error, is_resumable);
            Err(Failure::job(error).hint(way_out).advise(advice))
        }
    }
}

/// `mapmill worker`
fn work(request: WorkerRequest) -> Result<(), Failure> {
    log::start(request.verbosity, Some(request.speaker));
    if request.config.instance.is_some() {
        lifeline::watch(|| {
            #[expect(clippy::exit, reason = "`mapmill run` is gone, and its job with it")]
            std::process::exit(messages::FAILED.into());
        })?;
    }
    machine::raise_open_files_limit();
    let interrupted = interrupted(&Arc::default())?;
    // The worker has a runtime of its own; this one only waits for the interrupt.
    let signals = runtime(1)?;
    signals.spawn(async move {
        interrupted.await;
        request.shutdown.request();
    });
    let credentials = request.config.credentials.clone();
    let has_ended: worker::HasEnded =
        Arc::new(|files, session| journal::has_ended(files, &session.0));
    worker::run(request.config, has_ended).map_err(|error| {
        let advice = if let worker::WorkerError::Denied { source, .. } = &error {
            Some(way_out::of_denial(source, &credentials, rpc::Role::Worker))
        } else {
            None
        };
        let way_out = way_out::of_worker(&error);
        Failure::worker(error).hint(way_out).advise(advice)
    })
}

/// `mapmill status`
fn status(request: StatusRequest) -> Result<(), Failure> {
    log::start(Verbosity::Normal, None);
    runtime(1)?.block_on(status::print(request))
}

/// `mapmill export`
fn export(request: ExportRequest) -> Result<(), Failure> {
    machine::raise_open_files_limit();
    let is_interrupted = Arc::default();
    let _interrupted = interrupted(&is_interrupted)?;
    export::print(&request, &is_interrupted)
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::start(messages::SystemError::new("start a runtime", error)))
}

/// Ready at the first SIGINT or SIGTERM. A second one ends the process at once.
///
/// `is_interrupted` is set at the first, for code that does not wait on a runtime.
///
/// Signals have a thread of their own, until the process ends. All others may be blocked: in the
/// wait for another driver's claim, or in a write to a pipe whose reader does not read.
fn interrupted(
    is_interrupted: &Arc<AtomicBool>,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let is_interrupted = Arc::clone(is_interrupted);
    let refused = |error| Failure::start(messages::SystemError::new("listen for signals", error));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(refused)?;
    let listen = |kind| {
        let _entered = runtime.enter();
        signal(kind).map_err(refused)
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    // A listener, even if dropped, keeps SIGXFSZ from killing the process: a write beyond
    // `ulimit -f` is then an error, which has a message.
    drop(listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    let (interrupt_job, job_interrupted) = oneshot::channel();
    let signalled = async move {
        let mut interrupt_job = Some(interrupt_job);
        loop {
            // Cancel safe: a signal that arrives meanwhile is seen in the next turn.
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match interrupt_job.take() {
                Some(interrupt_job) => {
                    say_interrupted();
                    is_interrupted.store(true, Ordering::Relaxed);
                    let _ = interrupt_job.send(());
                }
                None => {
                    #[expect(clippy::exit, reason = "the user has interrupted twice")]
                    std::process::exit(messages::INTERRUPTED.into());
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || runtime.block_on(signalled)).map_err(refused)?;
    Ok(until(job_interrupted))
}

/// Returns when the line is printed, or soon after if stderr does not take it.
fn say_interrupted() {
    /// A terminal takes a line in microseconds. The next signal waits as long.
    const PRINTING_MAX: Duration = Duration::from_millis(100);
    let (printed, is_printed) = mpsc::sync_channel(1);
    let print = move || {
        messages::say(format_args!("interrupted; interrupt again to exit immediately"));
        let _ = printed.send(());
    };
    if std::thread::Builder::new().spawn(print).is_ok() {
        let _ = is_printed.recv_timeout(PRINTING_MAX);
    }
}

/// Ready when something is sent; never if the sender is dropped.
async fn until(event: oneshot::Receiver<()>) {
    if event.await.is_err() {
        std::future::pending::<()>().await;
    }
}
