"""`mapmill export --sort count` and GNU sort over the counts of 20 million words.

    python3 bench/export.py PROGRAM [WORDS [ROUNDS]]

Makes a text of so many different words in a temporary folder (TMPDIR; 1 GB), counts it with
PROGRAM, and runs the contenders in turn. Exit code 1: they do not write the same bytes, the export
is not three times faster than `LC_ALL=C sort -k2,2nr`, or it takes more memory than it may.

The word of rank r occurs max(1, 1000000 / r) times, so 19 of 20 words occur once; in a text about
half of them do. Words have seven letters, as mixed as those of a text.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
WORDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000_000
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
MEMORY_MIB = 128
TIMES_FASTER = 3
LETTERS = b"abcdefghijklmnopqrstuvwxyz"


def write_text(path):
    triples = [bytes((a, b, c)) for a in LETTERS for b in LETTERS for c in LETTERS]
    block, size = [], 0
    with open(path, "wb") as file:
        for rank in range(1, WORDS + 1):
            # A multiplier that shares no divisor with 26**6 gives no word twice.
            mixed = rank * 188_677_007 % 26**6
            word = triples[mixed // 26**3] + triples[mixed % 26**3] + LETTERS[rank % 26 : rank % 26 + 1]
            block.append((word + b"\n") * max(1, 1_000_000 // rank))
            size += len(block[-1])
            if size > 1 << 20:
                file.write(b"".join(block))
                block, size = [], 0
        file.write(b"".join(block))


def measured(command, output=None):
    """Seconds, and the peak memory in MiB."""
    stdout = open(output, "wb") if output else subprocess.DEVNULL
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.DEVNULL, env=os.environ | {"LC_ALL": "C"}
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, usage.ru_maxrss / 1024


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_text("text")
        subprocess.run([PROGRAM, "run", "text", "-q"], check=True)
        os.remove("text")
        outputs = sorted(pathlib.Path("files/out").iterdir())
        size = sum(path.stat().st_size for path in outputs)
        print(f"{WORDS:,} words, {size / 2**20:.0f} MiB of outputs; {ROUNDS} rounds in turn\n")
        export = [PROGRAM, "export", "-o", "ours", "--memory", f"{MEMORY_MIB}MiB"]
        contenders = {
            "mapmill export --sort count": ([*export, "--sort", "count"], None),
            "sort -k2,2nr": (["sort", "-k2,2nr", *outputs], "theirs"),
            f"sort -k2,2nr -S {MEMORY_MIB}M": (["sort", "-k2,2nr", "-S", f"{MEMORY_MIB}M", *outputs], "other"),
            "mapmill export --sort word": (export, None),
            "cat": (["cat", *outputs], "other"),
        }
        samples = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, (command, output) in contenders.items():
                samples[name].append(measured(command, output))
                if name == "sort -k2,2nr":
                    # Its last resort compares whole lines: equal counts are in the order of words.
                    subprocess.run(["cmp", "ours", "theirs"], check=True)
        first = samples["mapmill export --sort count"]
        print("| program | seconds | ratio | MiB |\n|---|---|---|---|")
        for name, runs in samples.items():
            seconds = statistics.median(run[0] for run in runs)
            ratio = statistics.median(run[0] / own[0] for run, own in zip(runs, first))
            print(f"| `{name}` | {seconds:.2f} | {ratio:.2f} | {max(run[1] for run in runs):.0f} |")
        ratios = [run[0] / own[0] for run, own in zip(samples["sort -k2,2nr"], first)]
        if statistics.median(ratios) < TIMES_FASTER:
            sys.exit(f"less than {TIMES_FASTER} times faster than sort")
        if max(run[1] for run in first) > MEMORY_MIB:
            sys.exit(f"more than {MEMORY_MIB} MiB")


main()
