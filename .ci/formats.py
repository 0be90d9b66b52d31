#!/usr/bin/env python3
"""Every format, counted by Mapmill and by decoders that are not ours.

    .ci/formats.py PROGRAM

Needs zstandard, lz4 and regex (PyPI). Nasty files are made from a fixed seed: many members, empty
ones and ones of a byte, padding, frames to skip, escapes, lone surrogates, equal keys, large lines,
quotes with line feeds. Each is decoded and counted here, and by jobs of several numbers of tasks;
the outputs must be the same bytes. A worker is killed while it reads. Damaged files must be refused
with one attempt, bad records named by their number, and bombs must leave a worker small.
"""

import bz2
import collections
import csv
import gzip
import io
import itertools
import json
import lzma
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import lz4.frame
import pyarrow
import pyarrow.parquet
import regex
import zstandard
from warcio.archiveiterator import ArchiveIterator

MAP_TASKS = (1, 2, 7, 64)
REDUCE_TASKS = (1, 4)
# What a worker may take, beside the table of its words.
WORKER_KIB_MAX = 64 << 10
RNG = random.Random(20261201)
WORD = regex.compile(r"\p{Alphabetic}+")


def fail(message):
    sys.exit(f"formats: {message}")


# ---- What is made. ----


def gzip_members(data):
    parts = [b"", data[:1], data[1:]]
    extra = gzip.compress(b"", 1)
    # A header with an extra field and a name, as of BGZF and gzip -N.
    named = bytearray(gzip.compress(parts[1], 1))
    named[3] = 4 | 8
    named[10:10] = struct.pack("<H", 6) + b"BC\x02\0\0\0" + b"name\0"
    return extra + bytes(named) + gzip.compress(parts[2], 6) + extra + b"\0" * 513


def zstd_frames(data):
    plain = zstandard.ZstdCompressor(level=3, write_checksum=True)
    wide = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=23)
    )
    unsized = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    skip = struct.pack("<II", 0x184D2A53, 5) + b"hello"
    half = len(data) // 2
    first = unsized.compress(data[:half]) + unsized.flush()
    return skip + plain.compress(b"") + first + skip + wide.compress(data[half:]) + skip


def pieces(data, sizes):
    start = 0
    while start < len(data):
        size = RNG.choice(sizes)
        yield data[start : start + size]
        start += size


def bgzf_blocks(data):
    blocks = []
    for piece in [b"", *pieces(data, [0, 1, 9, 700, 65280]), b""]:
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        deflated = deflate.compress(piece) + deflate.flush()
        header = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
        size = struct.pack("<H", len(deflated) + 25)
        blocks.append(header + size + deflated + struct.pack("<II", zlib.crc32(piece), len(piece)))
    return b"".join(blocks)


def seekable_zstd(data):
    frames, entries = [], []
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    for piece in [b"", *pieces(data, [0, 1, 9, 700, 100_000])]:
        frames.append(compressor.compress(piece))
        checksum = 0  # Of no interest here: the frames have their own.
        entries.append(struct.pack("<III", len(frames[-1]), len(piece), checksum))
    table = b"".join(entries) + struct.pack("<IBI", len(entries), 1 << 7, 0x8F92EAB1)
    return b"".join(frames) + struct.pack("<II", 0x184D2A5E, len(table)) + table


def bzip2_streams(data):
    third = len(data) // 3
    return bz2.compress(data[:third], 1) + bz2.compress(b"") + bz2.compress(data[third:], 9)


def xz_streams(data):
    half = len(data) // 2
    first = lzma.compress(data[:half], check=lzma.CHECK_NONE)
    second = lzma.compress(data[half:], check=lzma.CHECK_SHA256)
    return first + b"\0" * 8 + lzma.compress(b"") + second + b"\0" * 4


def lz4_frames(data):
    half = len(data) // 2
    linked = lz4.frame.compress(data[:half], block_linked=True, content_checksum=True)
    apart = lz4.frame.compress(data[half:], block_linked=False, block_checksum=True)
    skip = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    return skip + linked + lz4.frame.compress(b"") + apart


COMPRESSIONS = {
    "": lambda data: data,
    ".gz": gzip_members,
    ".zst": zstd_frames,
    ".bz2": bzip2_streams,
    ".xz": xz_streams,
    ".lz4": lz4_frames,
    ".bgz.gz": bgzf_blocks,
    ".seekable.zst": seekable_zstd,
}

LETTERS = ["a", "b", "the", "Straße", "naïve", "中文", "𐐷𐐷", "élan", "Жук", "x" * 300]


def some_text(words):
    gaps = [" ", "\n", ", ", "\r\n", "\t", " - ", '"', "\\", "7", " 🦀 "]
    return "".join(RNG.choice(LETTERS) + RNG.choice(gaps) for _ in range(words))


def make_text():
    data = some_text(3000).encode() + b"caf\xe9 \xff\xfe" + "z".encode() * 300_000 + b" end"
    return data, [data]


def make_json_lines():
    records, documents = [], []

    def add(record, text):
        records.append(record)
        documents.append(text.encode("utf-8", "replace") if isinstance(text, str) else text)

    for index in range(300):
        text = some_text(RNG.randrange(30))
        ascii = RNG.random() < 0.5
        other = {"id": index, "nested": {"text": "no", "list": [1.5e3, None, {"text": "no"}]}}
        record = dict(other, text=text) if RNG.random() < 0.5 else dict(text=text, **other)
        add(json.dumps(record, ensure_ascii=ascii), text)
    add('{"text":"\\ud83e\\udd80 crab \\u00e9\\/\\n"}', "🦀 crab é/\n")
    add('{"text":"a\\ud83eb"}', b"a\xffb")
    add('{"text":"a\\udd80"}', b"a\xff")
    add('{"text":"first","text":"last"}', "last")
    add('{"text":null}', "")
    add("{}", "")
    add(' {"x":"}{\\"" , "t\\u0065xt" : "key" }\r', "key")
    add('{"text":"ab"}', "ab")
    add('{"text":"cd"}', "cd")
    large = some_text(400_000)
    add(json.dumps({"other": "y" * 2_000_000, "text": large}), large)
    data = "\n".join(records).encode().replace(b'"ab"}', b'"ab"}\n\n \r') + b"\n"
    data += b'{"text":"\xff raw bytes \xc3"}'
    documents.append(b"\xff raw bytes \xc3")
    return data, documents


def make_csv(delimiter):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(["id", "text", "note"])
    documents = []
    for index in range(300):
        text = some_text(RNG.randrange(20))
        writer.writerow([index, text, 'a "quoted", note\n'])
        documents.append(text.encode())
    text = some_text(200_000)
    writer.writerow(["", text, ""])
    documents.append(text.encode())
    return b"\xef\xbb\xbf" + out.getvalue().encode().rstrip(b"\r\n"), documents


def make_wet():
    data, documents = b"", []
    for index in range(100):
        kind = RNG.choice(["conversion", "conversion", "warcinfo", "metadata"])
        text = some_text(RNG.randrange(50)).encode()
        header = f"WARC/1.0\r\nWARC-Type: {kind}\r\nX-Odd:\r\n  folded\r\nContent-Length: {len(text)}"
        data += header.encode() + b"\r\n\r\n" + text + b"\r\n\r\n"
        if kind == "conversion":
            documents.append(text)
    records = ArchiveIterator(io.BytesIO(data))
    read = [one.content_stream().read() for one in records if one.rec_type == "conversion"]
    if read != documents:
        fail("warcio reads other documents than were written")
    return data, documents


CONTAINERS = {
    "text": (make_text, []),
    "jsonl": (make_json_lines, ["--field", "text"]),
    "csv": (lambda: make_csv(","), ["--column", "text"]),
    "tsv": (lambda: make_csv("\t"), ["--column", "2", "--format", "tsv"]),
    "wet": (make_wet, ["--format", "wet"]),
}


# ---- What must come out. ----


def count(documents):
    counts = collections.Counter()
    for document in documents:
        # Invalid bytes separate words.
        text = document.decode("utf-8", "surrogateescape")
        counts.update(WORD.findall(text))
    return counts


def expected_outputs(counts, reduce_tasks):
    outputs = [[] for _ in range(reduce_tasks)]
    for word, times in counts.items():
        outputs[ord(word[0]) % reduce_tasks].append(f"{word} {times}\n".encode())
    return [b"".join(sorted(lines, key=lambda line: line.rsplit(b" ", 1)[0])) for lines in outputs]


def run(program, *args, code=0):
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=120)
    if done.returncode != code:
        fail(f"{args} ended with {done.returncode}, not {code}:\n{done.stderr}")
    return done


def compare(files, counts, reduce_tasks, what):
    for index, expected in enumerate(expected_outputs(counts, reduce_tasks)):
        found = (files / "out" / f"out-{index}").read_bytes()
        if found != expected:
            pairs = itertools.zip_longest(found.splitlines(), expected.splitlines())
            differ = next(pair for pair in pairs if pair[0] != pair[1])
            fail(f"{what}: out-{index} has {differ[0]}, expected {differ[1]}")


def check_counts(program, folder):
    jobs = 0
    for container, (make, flags) in CONTAINERS.items():
        data, documents = make()
        if container == "tsv":
            # A column by its number: the header counts as well.
            documents = [b"text", *documents]
        counts = count(documents)
        for ending, compress in COMPRESSIONS.items():
            name = folder / f"{container}{ending}"
            name.write_bytes(compress(data))
            for map_tasks, reduce_tasks in itertools.product(MAP_TASKS, REDUCE_TASKS):
                files = folder / "files"
                args = ["-q", "-w", "2", "-n", str(map_tasks), "-m", str(reduce_tasks), "--fresh"]
                run(program, "run", str(name), "--files", str(files), *flags, *args)
                compare(files, counts, reduce_tasks, f"{name.name} -n {map_tasks} -m {reduce_tasks}")
                jobs += 1
    print(f"formats: {jobs} jobs over {len(CONTAINERS) * len(COMPRESSIONS)} kinds of files agree")


def check_parquet(program, folder):
    texts = [None if RNG.random() < 0.1 else some_text(RNG.randrange(30)) for _ in range(500)]
    texts += ["", "ab", "cd", "x" * 300_000, "the same"] + ["the same"] * 200
    table = pyarrow.table({
        "id": range(len(texts)),
        "text": texts,
        "message": [None if text is None else {"body": text} for text in texts],
    })
    small = dict(data_page_size=900, row_group_size=97, write_batch_size=16)
    plain = dict(use_dictionary=False)
    cases = [
        dict(compression=compression, **options)
        for compression in ("none", "snappy", "gzip", "zstd", "lz4")
        for options in (dict(), small, dict(data_page_version="2.0", **small, **plain))
    ] + [
        dict(column_encoding={"text": encoding, "message.body": encoding}, **plain, **small)
        for encoding in ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
    ]
    jobs = 0
    files, name = folder / "files", folder / "table.parquet"
    for index, options in enumerate(cases):
        pyarrow.parquet.write_table(table, name, **options)
        counts = count([(text or "").encode() for text in texts])
        for map_tasks in MAP_TASKS:
            for reduce_tasks in REDUCE_TASKS:
                column = ["text", "message.body", "2"][index % 3]
                args = ["-q", "-w", "2", "-n", str(map_tasks), "-m", str(reduce_tasks), "--fresh"]
                run(program, "run", str(name), "--files", str(files), "--column", column, *args)
                compare(files, counts, reduce_tasks, f"{name.name} {options} -n {map_tasks}")
                jobs += 1
    pyarrow.parquet.write_table(table[:0], name)
    run(program, "run", str(name), "--files", str(files), "--column", "text", "-q", "--fresh")
    compare(files, {}, 4, "an empty table")
    print(f"formats: {jobs + 1} jobs over {len(cases) + 1} Parquet files agree")


def check_encodings(program, folder):
    text = some_text(2000) + "café"
    west = "naïve café – “quoted” " * 500
    japan, china = "日本語のテキスト ", "中文文本 "
    cases = [
        (text, "utf-8-sig", []),
        ("\ufeff" + text, "utf-16-le", []),
        ("\ufeff" + text, "utf-16-be", []),
        ("\ufeff" + text, "utf-32-le", []),
        ("\ufeff" + text, "utf-32-be", []),
        (text, "utf-16-le", ["--encoding", "utf-16le"]),
        (west, "cp1252", ["--encoding", "windows-1252"]),
        (japan * 300, "shift_jis", ["--encoding", "shift_jis"]),
        (china * 300, "gb18030", ["--encoding", "gb18030"]),
    ]
    for index, (text, encoding, flags) in enumerate(cases):
        counts = count([text.lstrip("\ufeff").encode()])
        for ending in ("", ".gz"):
            name = folder / f"encoded-{index}{ending}"
            name.write_bytes(COMPRESSIONS[ending](text.encode(encoding)))
            files = folder / "files"
            args = ["-q", "-w", "1", "-n", "3", "-m", "2", "--fresh"]
            run(program, "run", str(name), "--files", str(files), *flags, *args)
            compare(files, counts, 2, f"{encoding}{ending}")
    print(f"formats: {2 * len(cases)} encoded files agree")


def check_kills(program, folder):
    data = "".join(json.dumps({"text": some_text(50)}) + "\n" for _ in range(3000)).encode()
    counts = count([json.loads(line)["text"].encode() for line in data.splitlines()])
    for ending, compress in COMPRESSIONS.items():
        name, files = folder / f"killed.jsonl{ending}", folder / "killed"
        name.write_bytes(compress(data))
        shutil.rmtree(files, ignore_errors=True)
        args = ["--files", str(files), "--field", "text", "-n", "2", "-m", "2", "--worker-timeout", "1"]
        driver = subprocess.Popen(
            [program, "driver", str(name), *args, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE, text=True,
        )
        for line in driver.stderr:
            if "--driver " in line:
                address = line.rsplit("--driver ", 1)[1].strip()
                break
        root = ["--root", str(folder), "-q", "--driver", address]
        slow = str(max(len(name.read_bytes()) // 8, 1))
        first = subprocess.Popen([program, "worker", *root, "--throttle", slow])
        time.sleep(1.5)
        first.send_signal(signal.SIGKILL)
        first.wait()
        second = subprocess.Popen([program, "worker", *root])
        driver.stderr.read()
        if driver.wait(60) != 0 or second.wait(60) != 0:
            fail(f"a job over {name.name} with a killed worker ended with {driver.returncode}")
        compare(files, counts, 2, f"{name.name} with a killed worker")
    print(f"formats: {len(COMPRESSIONS)} jobs survive the death of their worker")


def check_damage(program, folder):
    data = make_text()[0]
    cases = 0
    for ending in (".gz", ".zst", ".bz2", ".xz", ".lz4"):
        compress = COMPRESSIONS[ending]
        whole = compress(data)
        for position in RNG.sample(range(len(whole) // 3, len(whole) - 600), 3):
            name, files = folder / f"cut{ending}", folder / "damaged"
            name.write_bytes(whole[:position])
            shutil.rmtree(files, ignore_errors=True)
            cases += 1
            args = [program, "run", str(name), "--files", str(files), "-w", "2"]
            done = subprocess.run(args, capture_output=True, text=True, timeout=120)
            # Cut in the first block, it is refused before anything starts.
            if done.returncode == 2 and " but an early end; " in done.stderr:
                continue
            if done.returncode != 1 or "is damaged: an early end" not in done.stderr:
                fail(f"{name.name} cut at {position} ended with {done.returncode}\n{done.stderr}")
            attempts = json.loads(run(program, "why", str(files), "m0", "--json").stdout)["attempts"]
            if len(attempts) != 1:
                fail(f"{name.name} cut at {position}: {len(attempts)} attempts\n{done.stderr}")
    print(f"formats: {cases} truncated files are named after one attempt")


def fails_at_once(program, name, files, flags, sentence, code=1):
    """A job that ends with `code` and `sentence`, after one attempt if it has begun."""
    shutil.rmtree(files, ignore_errors=True)
    args = ["run", str(name), "--files", str(files), "-w", "2", "-n", "1", *flags]
    done = run(program, *args, code=code)
    for part in (str(name), sentence):
        if part not in done.stderr:
            fail(f"{name.name} {flags}: expected `{part}`:\n{done.stderr}")
    if code == 1:
        attempts = json.loads(run(program, "why", str(files), "m0", "--json").stdout)["attempts"]
        if len(attempts) != 1:
            fail(f"{name.name} {flags}: {len(attempts)} attempts\n{done.stderr}")


def check_flips(program, folder):
    """One flipped bit of data with a checksum. It is behind what is looked at before the start."""
    data = some_text(40_000).encode()
    summed = zstandard.ZstdCompressor(level=3, write_checksum=True)
    cases = 0
    for ending, whole in [
        ("gz", gzip.compress(data)),
        ("zst", summed.compress(data)),
        ("bz2", bz2.compress(data, 1)),
        ("xz", lzma.compress(data)),
        ("lz4", lz4.frame.compress(data, content_checksum=True)),
    ]:
        for _ in range(4):
            position = RNG.randrange(len(whole) * 3 // 4, len(whole))
            flipped = bytearray(whole)
            flipped[position] ^= 1 << RNG.randrange(8)
            # Some bits of the last byte of bzip2 are padding.
            if ending == "bz2" and position == len(whole) - 1:
                continue
            name = folder / f"flipped.{ending}"
            name.write_bytes(flipped)
            fails_at_once(program, name, folder / "damaged", [], "is damaged: ")
            cases += 1
    print(f"formats: {cases} files with a flipped bit are named after one attempt")


def check_bad_records(program, folder):
    lines = b'\xef\xbb\xbf{"text":"a"}\n\n{"text":"b"}\r\n%s\n{"text":"c"}\n'
    json_lines = ["--field", "text"]
    column = ["--column", "b"]
    wrong_column = "has no column `c`; its columns are: a, b; "
    cases = [
        ("line.jsonl", lines % b'{"text":1}', json_lines, 1, "the field is not text (record 4, at"),
        ("list.jsonl", lines % b"[1]", json_lines, 1, "not a JSON object (record 4, at"),
        ("comma.jsonl", lines % b'{"text":"x",}', json_lines, 1, "invalid syntax (record 4, at"),
        ("cut.jsonl", lines % b'{"text":"x', json_lines, 1, "invalid syntax (record 4, at"),
        ("end.jsonl", lines[:-14] % b'{"text":"x', json_lines, 1, "ends within it (record 4, at"),
        ("deep.jsonl", lines % (b'{"a":' * 129), json_lines, 1, "too deeply (record 4, at"),
        ("open.csv", b'a,b\n1,x\n2,"y\n3,z\n', column, 1, "the file ends within it (at byte 17"),
        ("short.csv", b"a,b\n1,x\n\n2\n3,z\n", column, 1, "column is missing (record 3, at byte 9"),
        ("none.csv", b"a,b\n1,x\n", ["--column", "c"], 2, wrong_column),
        ("none.jsonl", lines % b"{}", [], 2, "no field is chosen; its first record has: text"),
    ]
    for name, data, flags, code, sentence in cases:
        (folder / name).write_bytes(data)
        fails_at_once(program, folder / name, folder / "bad", flags, sentence, code)
    # They can be skipped, as many as are allowed; an open quote is no record.
    skip = ["--on-bad-record", "skip", "--bad-records-max"]
    files = folder / "bad"
    for name, flags, text in [("line.jsonl", json_lines, b"a b c"), ("short.csv", column, b"x z")]:
        fails_at_once(program, folder / name, files, [*flags, *skip, "0"], "bad record, and 0 are")
        args = ["--files", str(files), "-q", "-w", "1", "-m", "2", "--fresh", *flags, *skip, "1"]
        run(program, "run", str(folder / name), *args)
        compare(files, count([text]), 2, f"{name} with a skipped record")
    fails_at_once(program, folder / "open.csv", files, [*column, *skip, "9"], "is damaged: ")
    print(f"formats: {len(cases)} kinds of bad records have their number and their sentence")


def check_large_line(program, folder):
    """A line of 100 MB, read by one worker."""
    name, words = folder / "large.jsonl", 20_000_000
    with name.open("wb") as out:
        out.write(b'{"other":[],"text":"first ')
        for _ in range(words // 100_000):
            out.write(b"word " * 100_000)
        out.write(b'last"}\n')
    kib = worker_kib(program, name, folder / "large", ["--field", "text", "-m", "2"], 0)
    if kib > WORKER_KIB_MAX:
        fail(f"{name.name}: the worker took {kib} KiB")
    compare(folder / "large", collections.Counter(first=1, word=words, last=1), 2, name.name)
    name.unlink()
    print(f"formats: a line of 100 MB is counted by a worker of {kib:,} KiB")


def worker_kib(program, name, files, flags, code):
    """The most memory of the one worker of a job."""
    shutil.rmtree(files, ignore_errors=True)
    driver = subprocess.Popen(
        [program, "driver", str(name), "--files", str(files), "-n", "1", *flags,
         "--listen", "127.0.0.1:0", "--drop-intermediates"],
        stderr=subprocess.PIPE, text=True,
    )
    for line in driver.stderr:
        if "--driver " in line:
            address = line.rsplit("--driver ", 1)[1].strip()
            break
    worker = subprocess.Popen([program, "worker", "-q", "--root", str(name.parent), "--driver", address])
    # Not `ru_maxrss`: that is at least what this process had when it forked.
    kib, status = 0, pathlib.Path(f"/proc/{worker.pid}/status")
    while worker.poll() is None:
        peak = regex.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        kib = max(kib, int(peak[1]) if peak else 0)
        time.sleep(0.01)
    stderr = driver.stderr.read()
    if driver.wait(60) != code:
        fail(f"{name.name}: the driver ended with {driver.returncode}, not {code}\n{stderr}")
    return kib


def check_bombs(program, folder):
    zeros = b" " * (1 << 20)
    largest = 0

    def measure(name, flags=(), code=0):
        nonlocal largest
        kib = worker_kib(program, folder / name, folder / "bomb", flags, code)
        largest = max(largest, kib)
        if kib > WORKER_KIB_MAX:
            fail(f"{name}: the worker took {kib} KiB")

    for name, opened in [
        ("bomb.gz", gzip.open(folder / "bomb.gz", "wb", 9)),
        ("bomb.bz2", bz2.open(folder / "bomb.bz2", "wb", 9)),
        ("bomb.xz", lzma.open(folder / "bomb.xz", "wb", preset=0)),
    ]:
        with opened as out:
            for _ in range(1 << 10 if name != "bomb.bz2" else 256):
                out.write(zeros)
        measure(name)
    (folder / "bomb.zst").write_bytes(zstandard.ZstdCompressor().compress(zeros) * 1024)
    measure("bomb.zst")
    wide = zstandard.ZstdCompressionParameters(
        window_log=30, enable_ldm=True, write_content_size=False
    )
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (folder / "wide.zst").write_bytes(compressor.compress(b"word") + compressor.flush())
    with gzip.open(folder / "string.jsonl.gz", "wb", 1) as out:
        out.write(b'{"text":"')
        for _ in range(300):
            out.write(b"word " * (1 << 18))
        out.write(b'"}\n')
    measure("string.jsonl.gz", ["--field", "text"])
    (folder / "deep.jsonl").write_bytes(b'{"a":' * 10_000_000)
    measure("deep.jsonl", ["--field", "text"], code=1)
    # Refused before anything starts: its window is in the first bytes.
    done = run(program, "run", str(folder / "wide.zst"), "--files", str(folder / "bomb"), code=2)
    if "bytes of memory" not in done.stderr:
        fail(f"wide.zst: {done.stderr}")
    print(f"formats: bombs are read or refused, by workers of at most {largest:,} KiB")


def main():
    program = sys.argv[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        checks = (
            check_counts, check_parquet, check_encodings, check_kills, check_damage, check_flips,
            check_bad_records, check_large_line, check_bombs,
        )
        for check in checks:
            started = time.monotonic()
            check(program, folder)
            print(f"  {check.__name__}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
