"""Mapmill over files that are not plain text, and the programs that decode or count them.

    python3 bench/formats.py PROGRAM BOOKS [ROUNDS]

Makes files of the texts in the folder BOOKS, repeated, in a temporary folder (TMPDIR; 3 GB), and runs
the contenders in turn. Mapmill counts all words with one worker, `run -w 1 --drop-intermediates`, the
whole process. Needs gzip and zstd; PyPI's pyarrow, duckdb and polars if they are installed. Exit code 1:
another count, or a limit of `LIMITS` is missed.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
BOOKS = pathlib.Path(sys.argv[2]).resolve()
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
TEXT_MIB = 200
SHARDS = 16

PYARROW = """
import pyarrow.parquet
for batch in pyarrow.parquet.ParquetFile("text.parquet").iter_batches(columns=["text"]):
    pass
"""
DUCKDB = r"""
import duckdb
duckdb.sql("SET threads = 2")
print(len(duckdb.sql('''SELECT word, count(*) FROM (
    SELECT unnest(regexp_extract_all(text, '[\p{L}\p{M}\p{Nl}]+')) AS word
    FROM read_json_auto('shards/*.jsonl.gz')) GROUP BY word''').fetchall()))
"""
POLARS = r"""
import glob, polars
words = polars.scan_ndjson(sorted(glob.glob("shards/*.jsonl.gz"))).select(
    polars.col("text").str.extract_all(r"\p{Alphabetic}+").alias("word")
).explode("word").group_by("word").len()
print(words.collect(engine="streaming").height)
"""
# Seconds of the first over those of the second, at most.
LIMITS = [
    ("gz", "zcat", 1 / 0.8),
    ("gz", "zcat | mapmill run -", 1),
    ("parquet", "pyarrow", 1 / 0.6),
    ("16 shards, two workers", "DuckDB", 1 / 5),
]


def make_files():
    text = b"".join(path.read_bytes() for path in sorted(BOOKS.iterdir()) if path.is_file())
    times = max(1, (TEXT_MIB << 20) // len(text))
    with open("text.txt", "wb") as file:
        for _ in range(times):
            file.write(text)
    paragraphs, lines = [], []
    for line in text.decode("utf-8", "replace").splitlines(keepends=True):
        lines.append(line)
        if sum(map(len, lines)) > 3000:
            paragraphs.append("".join(lines))
            lines = []
    with open("text.jsonl", "w") as file:
        for number in range(times * len(paragraphs)):
            url = f"https://example.org/books/{number}"
            record = {"id": number, "url": url, "text": paragraphs[number % len(paragraphs)]}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    subprocess.run(["gzip", "-k", "text.txt"], check=True)
    subprocess.run(["zstd", "-q", "text.txt"], check=True)
    os.mkdir("lines")
    for copy in range(4):
        shutil.copy("text.jsonl", f"lines/{copy}.jsonl")
    os.mkdir("shards")
    with open("text.jsonl", "rb") as file:
        shard = file.readlines()[: times * len(paragraphs) // 3]
    pathlib.Path("shards/0.jsonl").write_bytes(b"".join(shard))
    subprocess.run(["gzip", "shards/0.jsonl"], check=True)
    for copy in range(1, SHARDS):
        shutil.copy("shards/0.jsonl.gz", f"shards/{copy}.jsonl.gz")
    if importlib.util.find_spec("pyarrow"):
        import pyarrow
        import pyarrow.parquet
        texts = [paragraphs[number % len(paragraphs)] for number in range(times * len(paragraphs))]
        table = pyarrow.table({"id": range(len(texts)), "text": texts})
        pyarrow.parquet.write_table(table, "text.parquet", use_dictionary=False)


def mapmill(*arguments, workers=1):
    run = [PROGRAM, "run", *arguments, "-q", "-w", str(workers), "--fresh", "--drop-intermediates"]
    return [*run, "--files", "files"]


def contenders():
    stdin = " ".join(map(str, mapmill("-")))
    found = {
        "text": mapmill("text.txt"),
        "gz": mapmill("text.txt.gz"),
        "zcat": ["gzip", "-dc", "text.txt.gz"],
        "zcat | mapmill run -": ["sh", "-c", f"gzip -dc text.txt.gz | {stdin}"],
        "zstd": mapmill("text.txt.zst"),
        "zstd -dc": ["zstd", "-dc", "text.txt.zst"],
        "JSON lines": mapmill("lines", "--field", "text"),
        "16 shards, one worker": mapmill("shards", "--field", "text"),
        "16 shards, two workers": mapmill("shards", "--field", "text", workers=2),
    }
    for module, name, program in (
        ("pyarrow", "pyarrow", PYARROW), ("duckdb", "DuckDB", DUCKDB), ("polars", "Polars", POLARS),
    ):
        if importlib.util.find_spec(module) is None:
            print(f"{name} is left out: it is not installed", file=sys.stderr)
            continue
        if module == "pyarrow":
            found["parquet"] = mapmill("text.parquet", "--column", "text")
        found[name] = [sys.executable, "-c", program]
    return found


def measured(command):
    """Seconds, and the peak memory of the largest process in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stderr = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{command[0]} failed: {stderr.decode()}")
    return seconds, usage.ru_maxrss / 1024


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # In a process of its own: the memory of a child is at least that of the process it is a copy of.
        maker = os.fork()
        if maker == 0:
            make_files()
            os._exit(0)
        if os.waitpid(maker, 0)[1] != 0:
            sys.exit("the files cannot be made")
        samples = {name: [] for name in contenders()}
        for _ in range(ROUNDS):
            for name, command in contenders().items():
                samples[name].append(measured(command))
        sizes = {
            "text": os.stat("text.txt").st_size,
            "JSON lines": 4 * os.stat("text.jsonl").st_size,
        }
        print("| contender | seconds | MB/s of file | MiB |\n|---|---|---|---|")
        seconds = {name: statistics.median(run[0] for run in runs) for name, runs in samples.items()}
        for name, runs in samples.items():
            rate = f"{sizes[name] / seconds[name] / 1e6:.0f}" if name in sizes else ""
            print(f"| {name} | {seconds[name]:.2f} | {rate} | {max(run[1] for run in runs):.0f} |")
        print()
        missed = False
        for ours, other, limit in LIMITS:
            if ours in samples and other in samples:
                pairs = zip(samples[ours], samples[other])
                ratio = statistics.median(own[0] / theirs[0] for own, theirs in pairs)
                missed |= ratio > limit
                print(f"{ours} / {other}: {ratio:.2f}, at most {limit:.2f}")
        sys.exit(missed)


main()
