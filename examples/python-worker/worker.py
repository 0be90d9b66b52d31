#!/usr/bin/env python3
"""A Mapmill worker in Python, written from `proto/mapmill/v1/mapmill.proto` alone.

It joins any Mapmill driver, beside workers in Rust or alone. It is here to be read: it shows what a
worker in another language has to do. Read from top to bottom: the life of a worker, the two kinds of
attempt, words, files, and the driver as seen from here.

Two threads. This one asks, works and reports; the other sends heartbeats over a connection of its own,
so that a worker that is busy counting is never considered dead. They share two things: `Worker.running`,
which the heartbeat reads, and `Running.stop`, which it sets and the work checks between blocks.
"""

from __future__ import annotations

import argparse
import codecs
import collections
import contextlib
import errno
import gzip
import importlib
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Counter, Dict, Iterator, List, NoReturn, Optional, Tuple

import grpc
import regex


def main() -> int:
    parser = argparse.ArgumentParser(description="Count words for a Mapmill driver.")
    parser.add_argument("--driver", metavar="HOST:PORT", default="127.0.0.1:50051")
    parser.add_argument("--root", metavar="DIR", action="append", dest="roots",
                        help="read and write below DIR only; repeatable (default: the current folder)")
    parser.add_argument("--token-env", metavar="NAME", nargs="?", const=TOKEN_ENV, default=TOKEN_ENV,
                        help=f"environment variable that holds the driver's token (default: {TOKEN_ENV})")
    flags = parser.parse_args()
    roots = [os.path.realpath(os.fsencode(root)) for root in flags.roots or ["."]]
    try:
        Worker(flags.driver, os.environ.get(flags.token_env, "").strip(), roots).run()
    except Stop as stop:
        say(stop.sentence)
        return stop.code
    except KeyboardInterrupt:
        say("interrupted")
        return 130


class Stop(Exception):
    """This worker ends, without an error (code 0) or with one."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class RegisterAgain(Exception):
    """The driver does not know this worker: discard the attempt and register."""


class Abandon(Exception):
    """The driver no longer needs this attempt."""


class Failed(Exception):
    """An attempt failed. Carries the `Failure` to report."""

    def __init__(self, **cause: Any) -> None:
        super().__init__()
        self.failure = pb.Failure(**cause)


class Running:
    """The current attempt, as the heartbeat describes it to the driver."""

    def __init__(self, attempt: pb.Attempt) -> None:
        self.attempt = attempt
        self.progress = self.bytes = self.words = 0
        self.stop: Optional[Exception] = None
        """Set by the heartbeat: why the attempt is to end. Raised by the next `step`."""

    def step(self, size: int = 0, words: int = 0) -> None:
        """The attempt has made progress: `size` bytes read and `words` words. Called between blocks."""
        self.progress += 1
        self.bytes += size
        self.words += words
        if self.stop is not None:
            raise self.stop


class Worker:
    """Register, then: ask, work, report, until the driver answers "exit"."""

    def __init__(self, address: str, token: str, roots: List[bytes]) -> None:
        self.address, self.roots = address, roots
        self.pulse = Pulse(address)
        self.driver = Driver(address, token, self.pulse)
        self.heart = Driver(address, token, self.pulse)
        self.instance = os.urandom(16)
        self.job = pb.Registered()
        self.running: Optional[Running] = None

    def run(self) -> NoReturn:
        """Ends by raising `Stop`."""
        self.register()
        threading.Thread(target=self.beat, name="heartbeat", daemon=True).start()
        while True:
            try:
                self.work()
            except RegisterAgain:
                # A restarted driver tells all its workers at once; they should not all register at once.
                time.sleep(random.uniform(0, 0.5))
                self.register()

    def register(self) -> None:
        answer = self.driver.call("Register", pb.RegisterRequest(
            protocol=PROTOCOL, build=BUILD, instance=self.instance, roots=self.roots, abilities=ABILITIES,
            name=f"{socket.gethostname()}:{os.getpid()}"), CALL_SECONDS)
        kind = answer.WhichOneof("answer")
        if kind == "version_mismatch":
            theirs = answer.version_mismatch
            raise Stop(2, f"the driver at {self.address} ({theirs.build}) speaks protocol {theirs.protocol}, "
                          f"this worker ({BUILD}) speaks {PROTOCOL}; use a worker of the driver's version")
        if kind == "outside_roots":
            folder, roots = os.fsdecode(answer.outside_roots.folder), b", ".join(self.roots)
            raise Stop(2, f"the job needs the folder {folder}, which is below none of this worker's roots "
                          f"({os.fsdecode(roots)}); add --root {folder}")
        if kind == "exit":
            raise Stop(0, JOB_OVER)
        if kind != "registered":
            raise Stop(2, "the driver answered Register in a way that this worker does not know")
        if answer.registered.rules.rule not in WORD:
            raise Stop(2, f"the job has word rule {answer.registered.rules.rule}, unknown to this worker")
        self.job = answer.registered
        say(f"worker w{self.job.number} of the driver at {self.address}")

    def work(self) -> None:
        while True:
            answer = self.driver.call("NextTask", pb.NextTaskRequest(
                session=self.job.session, worker=self.job.worker), NEXT_TASK_SECONDS)
            kind = answer.WhichOneof("answer")
            if kind == "task":
                self.execute(answer.task)
            elif kind == "register_again":
                raise RegisterAgain
            elif kind == "exit":
                raise Stop(0, JOB_OVER)
            elif kind != "wait":
                raise Stop(1, "the driver answered NextTask in a way that this worker does not know")

    def execute(self, task: pb.Task) -> None:
        """Executes one attempt and reports how it ended. Leaves nothing behind that the driver did not accept."""
        running = Running(task.attempt)
        staging = os.path.join(self.job.files, os.fsencode(task.staging))
        ours = False
        self.running = running
        try:
            self.below_roots(staging)
            with failing(staging, "create"):
                try:
                    os.makedirs(os.path.dirname(staging), mode=0o700, exist_ok=True)
                    os.mkdir(staging)  # The guard: only the first execution gets past it.
                except FileExistsError:
                    raise Failed(staging_exists=pb.StagingExists()) from None
            ours = True
            if task.WhichOneof("work") == "map":
                outcome = {"map_done": self.map(task, staging, running)}
            else:
                outcome = {"reduce_done": self.reduce(task, staging, running)}
        except (RegisterAgain, Stop):  # Set by the heartbeat; they concern more than this attempt.
            raise
        except Abandon:
            say(f"{name_of(task.attempt)} abandoned")
        except Exception as error:
            if ours:  # Before the report: the next attempt may need the space.
                shutil.rmtree(staging, ignore_errors=True)
            panicked = pb.Failure(panicked=pb.Panicked(message=f"{type(error).__name__}: {error}"))
            self.report(running, failure=error.failure if isinstance(error, Failed) else panicked)
        else:
            ours = False  # From here on the driver may be publishing: only its verdict allows removing files.
            if self.report(running, **outcome) != pb.VERDICT_ACCEPTED:
                shutil.rmtree(staging, ignore_errors=True)
        finally:
            self.running = None
            if ours:
                shutil.rmtree(staging, ignore_errors=True)

    def report(self, running: Running, **outcome: Any) -> int:
        """Reports how the attempt ended; returns the driver's verdict."""
        verdict = self.driver.call("Report", pb.ReportRequest(
            session=self.job.session, worker=self.job.worker, attempt=running.attempt, **outcome),
            REPORT_SECONDS).verdict
        failure = str(outcome["failure"]).replace("\n", " ") if "failure" in outcome else "done"
        say(f"{name_of(running.attempt)} {failure}, {pb.Verdict.Name(verdict)[8:].lower()}")
        return verdict

    def beat(self) -> None:
        """The heartbeat thread. An order is for the attempt that was sent, whatever runs by then."""
        while True:
            time.sleep(self.job.heartbeat_millis / 1000)
            job, running = self.job, self.running
            shown = running and pb.Running(attempt=running.attempt, progress=running.progress,
                                           bytes=running.bytes, words=running.words)
            request = pb.HeartbeatRequest(session=job.session, worker=job.worker, running=shown)
            try:
                answer = self.heart.call_once("Heartbeat", request, CALL_SECONDS)
                stop = ORDERS[answer.order]() if answer and answer.order in ORDERS else None
            except Stop as lost:
                stop = lost
            # Between attempts there is nothing to stop: NextTask brings the same answer.
            if running and stop:
                running.stop = stop

    def map(self, task: pb.Task, staging: bytes, running: Running) -> pb.MapDone:
        """Uses bounded memory, whatever the splits or the length of a word."""
        stem = os.path.join(staging, b"mr-%d-" % task.attempt.task)
        buckets = Buckets(stem, self.job.buckets, self.job.rules.ignore_case)
        invalid_bytes = 0
        for split in task.map.splits:
            self.below_roots(split.path)
            is_gzip = split.format == GZIP
            if split.HasField("format") and not is_gzip:
                # The driver knows from ABILITIES: it does not happen. What else was counted would be wrong.
                raise Failed(format_unknown=pb.FormatUnknown(path=split.path, detail="neither text nor gzip"))
            map_one = map_gzip if is_gzip else map_split
            with open_input(split) as descriptor:
                invalid_bytes += map_one(descriptor, split, WORD[self.job.rules.rule], buckets, running)
        buckets.flush()
        return pb.MapDone(bucket_bytes=buckets.bytes, bucket_crc32=buckets.crc32,
                          bucket_words=buckets.words, invalid_bytes=invalid_bytes)

    def reduce(self, task: pb.Task, staging: bytes, running: Running) -> pb.ReduceDone:
        """Holds every distinct word of the bucket in memory, unlike the worker in Rust."""
        bucket = task.attempt.task
        counts: Counter[bytes] = collections.Counter()
        lengths, checksums = task.reduce.intermediate_bytes, task.reduce.intermediate_crc32
        if len(lengths) != len(checksums):
            raise ValueError(f"{len(lengths)} lengths, but {len(checksums)} checksums of intermediates")
        for number, (length, crc32) in enumerate(zip(lengths, checksums)):
            path = os.path.join(self.job.files, b"intermediate", b"mr-%d-%d" % (number, bucket))
            self.below_roots(path)
            with failing(path, "read"):
                try:
                    found = count_lines(path, counts, running)
                except FileNotFoundError:
                    raise Failed(intermediate_missing=pb.IntermediateMissing(map=number)) from None
            expected = pb.Digest(bytes=length, crc32=crc32)
            if found != expected:
                raise Failed(intermediate_corrupt=pb.IntermediateCorrupt(
                    map=number, expected=expected, found=found))
        return write_counts(os.path.join(staging, b"out-%d" % bucket), counts, running)

    def below_roots(self, path: bytes) -> None:
        """Fails unless `path`, with every symbolic link followed, is below one of the roots."""
        real = os.path.realpath(path)
        if not any(os.path.commonpath([root, real]) == root for root in self.roots):
            raise Failed(outside_roots=pb.OutsideRoots(folder=os.path.dirname(real)))


def map_split(descriptor: int, split: pb.Split, word: regex.Pattern, buckets: Buckets, running: Running) -> int:
    """Appends the words that begin in the split to their buckets; returns the number of invalid bytes in it.

    Both ends are moved to where characters begin, by the same rule, so that adjacent splits stay adjacent.
    """
    first, before = boundary(descriptor, split.start, split)
    last, _ = boundary(descriptor, split.end, split)
    words = Words(word, buckets, under_way=word.match(before) is not None)
    invalid_bytes = 0
    for text in characters(descriptor, first, last):
        invalid_bytes += INVALID.subn("", text)[1]
        running.step(len(text.encode(*UTF8)), words.feed(text))
    if words.bucket is not None:
        # The last word began in the split: follow it to its end, and take nothing else from there.
        for text in characters(descriptor, last, split.file_bytes, TAIL_BYTES):
            rest = word.match(text)
            words.feed(rest.group() if rest else "")
            running.step()
            if text and (rest is None or rest.end() < len(text)):
                break
    words.end()
    return invalid_bytes


def map_gzip(descriptor: int, split: pb.Split, word: regex.Pattern, buckets: Buckets, running: Running) -> int:
    """The same for a file compressed with gzip, which is never cut. Its progress is in compressed bytes."""
    words = Words(word, buckets, under_way=False)
    decoder = codecs.getincrementaldecoder(UTF8[0])(UTF8[1])
    text_bytes, invalid_bytes, is_start = 0, 0, True
    with open(descriptor, "rb", closefd=False) as file, gzip.GzipFile(fileobj=file) as content:
        before = 0
        while True:
            try:
                block = content.read(BLOCK_BYTES)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise Failed(input_damaged=pb.InputDamaged(
                    path=split.path, offset=file.tell(), text_offset=text_bytes, detail=str(error))) from None
            text_bytes += len(block)
            text = decoder.decode(block, final=not block)
            if is_start and text:
                text, is_start = text[text.startswith("\ufeff"):], False
            invalid_bytes += INVALID.subn("", text)[1]
            running.step(file.tell() - before, words.feed(text))
            before = file.tell()
            if not block:
                break
    words.end()
    return invalid_bytes


def boundary(descriptor: int, position: int, split: pb.Split) -> Tuple[int, str]:
    """Where the first character at or behind `position` begins, and the character before it ("" at the start).

    A character has at most 4 bytes, and no byte that begins one also continues one. So decoding may start in the
    middle of a character, 4 bytes before: it is correct from the next character on. A byte order mark at the start
    of the file is no part of the text: the first character is the one behind it.
    """
    if position <= len(codecs.BOM_UTF8) and os.pread(descriptor, len(codecs.BOM_UTF8), 0) == codecs.BOM_UTF8:
        return len(codecs.BOM_UTF8), ""
    at = max(0, position - 4)
    before = ""
    for character in "".join(characters(descriptor, at, min(position + 3, split.file_bytes))):
        if at >= position:
            break
        at += len(character.encode(*UTF8))
        before = character
    return at, before


class Words:
    """Separates text into words, piece by piece: a word may be longer than memory."""

    def __init__(self, word: regex.Pattern, buckets: Buckets, under_way: bool) -> None:
        self.word, self.buckets = word, buckets
        self.under_way = under_way
        """Whether the text so far ends within a word."""
        self.bucket: Optional[int] = None
        """That word's bucket; None if the word began in an earlier split, which counts it."""

    def feed(self, text: str) -> int:
        """Takes the next characters; returns how many words begin in them."""
        if not text:
            return 0
        words = self.word.findall(text)
        begun = len(words)
        if self.under_way:
            if self.word.match(text):
                begun -= 1
                piece = words.pop(0)
                if self.bucket is not None:
                    self.buckets.add_piece(self.bucket, piece)
                if len(piece) == len(text):
                    return 0
            self.end()
        if words and self.word.match(text[-1]):
            last = words.pop()
            self.buckets.add(words)
            self.under_way, self.bucket = True, self.buckets.begin(last)
        else:
            self.buckets.add(words)
        return begun

    def end(self) -> None:
        """Ends the current word, if any."""
        if self.bucket is not None:
            self.buckets.add_piece(self.bucket, "\n")
        self.under_way, self.bucket = False, None


class Buckets:
    """The files `mr-<task>-<bucket>` of one attempt, with a buffer each: there may be 10,000, too many to keep open."""

    def __init__(self, stem: bytes, count: int, ignore_case: bool) -> None:
        self.paths = [stem + b"%d" % bucket for bucket in range(count)]
        self.buffers = [bytearray() for _ in self.paths]
        self.buffered = 0
        self.bytes, self.crc32, self.words = [0] * count, [0] * count, [0] * count
        self.ignore_case = ignore_case
        self.lower, self.of = LowerCase(), BucketOf(count)
        for path in self.paths:
            with failing(path, "create"):
                open(path, "xb").close()

    def add(self, words: List[str]) -> None:
        """Appends whole words."""
        if not words:
            return
        if self.ignore_case:
            # No word contains a line feed, and no character has one in its lower case.
            words = "\n".join(words).translate(self.lower).split("\n")
        groups: Dict[int, List[str]] = collections.defaultdict(list)
        for word in words:
            groups[self.of[word[0]]].append(word)
        for bucket, group in groups.items():
            self.words[bucket] += len(group)
            self.append(bucket, "\n".join(group) + "\n")

    def begin(self, piece: str) -> int:
        """Appends the first piece of a word; returns the word's bucket."""
        first = piece[0].translate(self.lower) if self.ignore_case else piece
        bucket = self.of[first[0]]
        self.words[bucket] += 1
        self.add_piece(bucket, piece)
        return bucket

    def add_piece(self, bucket: int, piece: str) -> None:
        """Appends the next piece of a word, or the line feed that ends it."""
        self.append(bucket, piece.translate(self.lower) if self.ignore_case else piece)

    def append(self, bucket: int, text: str) -> None:
        encoded = text.encode(*UTF8)
        self.buffers[bucket] += encoded
        self.buffered += len(encoded)
        if self.buffered >= BUFFERED_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        for bucket, buffer in enumerate(self.buffers):
            if not buffer:
                continue
            with failing(self.paths[bucket], "write"), open(self.paths[bucket], "ab") as file:
                file.write(buffer)
            self.bytes[bucket] += len(buffer)
            self.crc32[bucket] = zlib.crc32(buffer, self.crc32[bucket])
            buffer.clear()
        self.buffered = 0


class LowerCase(Dict[int, str]):
    """Each character's lower case by itself, for `str.translate`. `str.lower` knows a final sigma."""

    def __missing__(self, character: int) -> str:
        return self.setdefault(character, chr(character).lower())


class BucketOf(Dict[str, int]):
    """The bucket of a word, by its first character."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def __missing__(self, first: str) -> int:
        # An invalid byte is decoded as U+DC00 plus its value, see UTF8.
        value = ord(first) - 0xDC00 if INVALID.match(first) else ord(first)
        return self.setdefault(first, value % self.count)


def count_lines(path: bytes, counts: Counter[bytes], running: Running) -> pb.Digest:
    """Counts the lines of an intermediate; returns its length and checksum as found."""
    size, crc32 = 0, 0
    rest: List[bytes] = []  # The pieces of a line that has not ended yet.
    with open(path, "rb", buffering=0) as file:
        while True:
            block = file.read(BLOCK_BYTES)
            if not block:
                break
            size += len(block)
            crc32 = zlib.crc32(block, crc32)
            *lines, last = block.split(b"\n")
            if lines:
                lines[0] = b"".join(rest) + lines[0]
                rest.clear()
                counts.update(lines)
            rest.append(last)
            running.step(len(block), len(lines))
    if any(rest):
        counts[b"".join(rest)] += 1
    return pb.Digest(bytes=size, crc32=crc32)


def write_counts(path: bytes, counts: Counter[bytes], running: Running) -> pb.ReduceDone:
    """Writes the words, sorted bytewise. Sorts in portions: a long sort without progress would look stuck."""
    portions: Dict[bytes, List[bytes]] = collections.defaultdict(list)
    for word in counts:
        portions[word[:4]].append(word)
    running.step()
    size, crc32 = 0, 0
    with failing(path, "write"), open(path, "xb") as file:
        for start in sorted(portions):
            block = b"".join(b"%b %d\n" % (word, counts[word]) for word in sorted(portions[start]))
            file.write(block)
            size += len(block)
            crc32 = zlib.crc32(block, crc32)
            running.step()
        file.flush()
        os.fsync(file.fileno())
    running.step()
    return pb.ReduceDone(output=pb.Digest(bytes=size, crc32=crc32),
                         words=sum(counts.values()), distinct_words=len(counts))


@contextlib.contextmanager
def open_input(split: pb.Split) -> Iterator[int]:
    """An input's file descriptor. Fails unless the file is as planned, before and after."""
    with failing(split.path, "open", "input_unreadable"):
        try:
            descriptor = os.open(split.path, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            raise Failed(input_missing=pb.InputMissing(path=split.path)) from None

    def unchanged() -> None:
        now = os.fstat(descriptor)
        modified = split.modified_seconds * 1_000_000_000 + split.modified_nanos
        if (now.st_size, now.st_mtime_ns) != (split.file_bytes, modified):
            raise Failed(input_changed=pb.InputChanged(
                path=split.path, then_bytes=split.file_bytes, now_bytes=now.st_size))

    try:
        with failing(split.path, "read", "input_unreadable"):
            unchanged()
            try:
                yield descriptor
            except (OSError, Failed):
                unchanged()  # A better reason, if the file has been replaced or cut meanwhile.
                raise
            unchanged()
    finally:
        os.close(descriptor)


def characters(descriptor: int, start: int, end: int, block_bytes: int = 0) -> Iterator[str]:
    """The bytes from `start` to `end` as text, block by block; a character that crosses blocks is kept whole."""
    decoder = codecs.getincrementaldecoder(UTF8[0])(UTF8[1])
    while start < end:
        block = os.pread(descriptor, min(block_bytes or BLOCK_BYTES, end - start), start)
        if not block:
            raise OSError(0, f"the file ends at byte {start}, before byte {end}")
        start += len(block)
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


@contextlib.contextmanager
def failing(path: bytes, operation: str, cause: str = "io") -> Iterator[None]:
    """Turns an error of the operating system into the `Failure` to report."""
    try:
        yield
    except OSError as error:
        if cause == "io" and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            cause = "disk_full"
        raise Failed(**{cause: pb.Io(path=path, operation=operation, os_error=error.errno or 0,
                                     detail=error.strerror or str(error))}) from error


class Driver:
    """The driver, over one connection, which is opened when it is first needed and again when it breaks."""

    def __init__(self, address: str, token: str, pulse: Pulse) -> None:
        self.address, self.pulse = address, pulse
        self.stub = pb_grpc.DriverStub(grpc.insecure_channel(address, CHANNEL_OPTIONS))
        self.metadata = [("authorization", f"Bearer {token}")] if token else []

    def call(self, name: str, request: Any, seconds: float) -> Any:
        """Repeats the call until there is an answer: every call is idempotent."""
        delay = 0.1
        while True:
            answer = self.call_once(name, request, seconds)
            if answer is not None:
                return answer
            time.sleep(random.uniform(delay / 2, delay))
            delay = min(2 * delay, RETRY_SECONDS_MAX)

    def call_once(self, name: str, request: Any, seconds: float) -> Any:
        """None if there is no answer this time."""
        try:
            answer = getattr(self.stub, name)(request, timeout=seconds, metadata=self.metadata)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise Stop(2, f"the driver at {self.address} wants another token "
                              f"({error.details()}); see --token-env") from error
            if error.code() not in TRANSIENT:
                raise Stop(1 if self.pulse.ever_heard else 2, f"the driver at {self.address} refuses {name}: "
                           f"{error.code().name}, {error.details()}") from error
            self.pulse.missed(error.details())
            return None
        self.pulse.heard()
        return answer


class Pulse:
    """For how long the driver has not answered, over both connections."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = threading.Lock()
        self.ever_heard = False
        self.silent_since: Optional[float] = None
        """The first unanswered call after the last answer: a worker that was suspended does not give up at once."""
        self.notice_at = 0.0

    def heard(self) -> None:
        with self.lock:
            self.ever_heard, self.silent_since = True, None

    def missed(self, detail: Optional[str]) -> None:
        with self.lock:
            now = time.monotonic()
            if self.silent_since is None:
                self.silent_since, self.notice_at = now, now + FIRST_NOTICE_SECONDS
            if self.ever_heard and now - self.silent_since >= LOST_SECONDS:
                raise Stop(1, f"no driver at {self.address} for {LOST_SECONDS} s ({detail})")
            if now >= self.notice_at:
                self.notice_at = now + NOTICE_SECONDS
                say(f"waiting for the driver at {self.address} ({detail})")


def say(sentence: str) -> None:
    print(f"mapmill python worker: {sentence}", file=sys.stderr, flush=True)


def name_of(attempt: pb.Attempt) -> str:
    return f"{pb.Phase.Name(attempt.phase)[6:].lower()} {attempt.task} attempt {attempt.number}"


def load_stubs() -> Tuple[Any, Any]:
    """The code that `protoc` generates, if it is missing, in a folder named after the checksum of the proto."""
    here = Path(__file__).resolve().parent
    protos, name = here.parent.parent / "proto", "mapmill/v1/mapmill.proto"
    generated = here / "generated" / f"{zlib.crc32((protos / name).read_bytes()):08x}"
    if not generated.exists():
        from grpc_tools import protoc  # type: ignore[import-untyped]
        generated.parent.mkdir(exist_ok=True)
        made = tempfile.mkdtemp(dir=generated.parent)
        if protoc.main(["protoc", f"-I{protos}", f"--python_out={made}", f"--grpc_python_out={made}", name]) != 0:
            raise SystemExit(2)
        try:
            os.rename(made, generated)
        except OSError:  # Another worker was faster.
            shutil.rmtree(made)
    sys.path.insert(0, str(generated))
    return (importlib.import_module("mapmill.v1.mapmill_pb2"),
            importlib.import_module("mapmill.v1.mapmill_pb2_grpc"))


if TYPE_CHECKING:
    from mapmill.v1 import mapmill_pb2 as pb, mapmill_pb2_grpc as pb_grpc
else:
    pb, pb_grpc = load_stubs()

PROTOCOL = 1
BUILD = "mapmill-python-worker 0.1.0"
TOKEN_ENV = "MAPMILL_TOKEN"
JOB_OVER = "the job is over"

ABILITIES = ["gzip"]  # What it reads besides plain text. It is given no other files.
GZIP = pb.Format(compression="gzip", whole_text=pb.WholeText())

UTF8 = ("utf-8", "surrogateescape")
"""Decodes an invalid byte B as the character U+DC00 + B, which no valid text contains, and encodes it back."""
INVALID = regex.compile("[\udc80-\udcff]")
WORD = {
    pb.WORD_RULE_LETTERS: regex.compile(r"\p{Alphabetic}+"),
    # Python's own idea of space (`str.isspace`, `\s` in `re`) has U+001C to U+001F on top.
    pb.WORD_RULE_WHITESPACE: regex.compile(r"\P{White_Space}+"),
}
ORDERS: Dict[int, Callable[[], Exception]] = {
    pb.ORDER_ABANDON: Abandon,
    pb.ORDER_EXIT: lambda: Stop(0, JOB_OVER),
    pb.ORDER_REGISTER: RegisterAgain,
}

BLOCK_BYTES = 1 << 20  # Read at once. Between blocks the worker checks whether to stop.
TAIL_BYTES = 1 << 12  # Read at once behind a split: most words are short.
BUFFERED_BYTES_MAX = 16 << 20  # Over all buckets. Large enough that 10,000 buckets are not written in tiny pieces.

NEXT_TASK_SECONDS = 40.0  # From the proto: the driver may take 30.
REPORT_SECONDS = 60.0  # The driver may take as long as publishing takes; a repeat joins it.
CALL_SECONDS = 5.0
RETRY_SECONDS_MAX = 2.0
FIRST_NOTICE_SECONDS, NOTICE_SECONDS = 2.0, 10.0
LOST_SECONDS = 30

TRANSIENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
             grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
CHANNEL_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # Otherwise both channels would share one connection.
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", -1),  # A task that names many files is larger than the usual 4 MiB.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]

if __name__ == "__main__":
    sys.exit(main())
