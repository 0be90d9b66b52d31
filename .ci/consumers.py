#!/usr/bin/env python3
"""What `mapmill export` writes, read by the programs for which it is written.

    .ci/consumers.py PROGRAM INPUTS

Needs duckdb, polars, sentencepiece, subword-nmt and symspellpy (PyPI), and GNU sort. Every program
must read all words with their counts; those that learn must learn the same as from the text itself.
"""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile

import duckdb
import polars
import sentencepiece
import symspellpy

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
INPUTS = pathlib.Path(sys.argv[2]).resolve()


def fail(message):
    sys.exit(f"consumers: {message}")


def holds(name, is_true, what):
    if not is_true:
        fail(f"{name}: {what}")
    print(f"consumers: {name}: {what}")


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def export(files, *arguments):
    run(PROGRAM, "export", files, *arguments)


def counted(files, *arguments):
    """Words and counts of a job, in the order of bytes, read from its outputs without us."""
    run(PROGRAM, "run", INPUTS, "--files", files, "--quiet", *arguments)
    lines = b"".join(path.read_bytes() for path in pathlib.Path(files, "out").iterdir())
    pairs = (line.rsplit(b" ", 1) for line in lines.splitlines())
    return sorted((word, int(count)) for word, count in pairs)


def learned(*arguments):
    """The merges that subword-nmt learns."""
    script = pathlib.Path(sys.executable).with_name("subword-nmt")
    # It opens files in the encoding of the locale.
    environment = os.environ | {"PYTHONUTF8": "1"}
    run(script, "learn-bpe", "--symbols", "500", *arguments, env=environment, stderr=subprocess.DEVNULL)


def subword_nmt(counts):
    export("files", "-o", "dict.txt")
    learned("--dict-input", "--input", "dict.txt", "--output", "from-counts")
    text = b"".join(word + b"\n" for word, count in counts for _ in range(count))
    pathlib.Path("text").write_bytes(text)
    learned("--input", "text", "--output", "from-text")
    codes = [pathlib.Path(name).read_bytes() for name in ("from-counts", "from-text")]
    is_same = codes[0] == codes[1] and codes[0].count(b"\n") == 501
    holds("subword-nmt", is_same, "500 merges, the same as from the text")


def sentence_piece(counts):
    export("files", "-o", "words.tsv")
    sentencepiece.SentencePieceTrainer.train(
        input="words.tsv", input_format="tsv", model_prefix="pieces", model_type="bpe",
        vocab_size=2000, minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file="pieces.model")
    # A frequent word is a piece of its own only if its count was read.
    most = max(counts, key=lambda pair: pair[1])[0].decode()
    is_piece = pieces.encode(most, out_type=str) == ["\u2581" + most]
    holds("SentencePiece", is_piece and pieces.vocab_size() == 2000, "2000 pieces, counts were read")


def sym_spell(counts):
    export("files", "-o", "words.txt")
    speller = symspellpy.SymSpell()
    is_loaded = speller.load_dictionary("words.txt", 0, 1, encoding="utf-8")
    expected = {word.decode(): count for word, count in counts}
    is_same = is_loaded and dict(speller.words) == expected
    holds("symspellpy", is_same, f"{len(expected)} words with their counts")


def tables(files, counts):
    """Parquet, CSV and JSON lines, in DuckDB and Polars."""
    by_count = sorted(counts, key=lambda pair: (-pair[1], pair[0]))
    expected = [(word.decode(), count) for word, count in by_count]
    for end in ("parquet", "csv", "jsonl"):
        export(files, "--sort", "count", "-o", f"words.{end}")
    readers = {
        "DuckDB read_parquet": "read_parquet('words.parquet')",
        "DuckDB read_csv": "read_csv('words.csv', quote='\"', escape='\"', delim=',', header=true)",
        "DuckDB read_json": "read_json('words.jsonl')",
    }
    for name, reader in readers.items():
        columns = duckdb.sql(f"describe select * from {reader}").fetchall()
        is_typed = [column[:2] for column in columns] == [("word", "VARCHAR"), ("count", "BIGINT")]
        rows = duckdb.sql(f"select word, count from {reader}").fetchall()
        holds(name, is_typed and rows == expected, f"{len(rows)} words in order, string and int64")
    frames = {
        "Polars read_parquet": polars.read_parquet("words.parquet"),
        "Polars read_csv": polars.read_csv("words.csv"),
        "Polars read_ndjson": polars.read_ndjson("words.jsonl"),
    }
    for name, frame in frames.items():
        is_typed = frame.schema == {"word": polars.String, "count": polars.Int64}
        is_same = is_typed and frame.rows() == expected
        holds(name, is_same, f"{frame.height} words in order, string and int64")


def glove(files):
    export(files, "--sort", "count", "-o", "vocab.txt")
    outputs = sorted(pathlib.Path(files, "out").iterdir())
    sort = run(
        "sort", "-k2,2nr", "-k1,1", *outputs, env=os.environ | {"LC_ALL": "C"}, capture_output=True
    )
    is_same = sort.stdout == pathlib.Path("vocab.txt").read_bytes()
    holds("GloVe", is_same, "the order of LC_ALL=C sort -k2,2nr -k1,1")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        counts = counted("files")
        subword_nmt(counts)
        sentence_piece(counts)
        sym_spell(counts)
        glove("files")
        # Words with quotes, commas and backslashes.
        raw = counted("raw", "--words", "whitespace")
        marks = collections.Counter(chr(byte) for word, _ in raw for byte in set(word))
        holds("words", marks['"'] and marks[","], f"{len(raw)}, {marks[',']} of them with commas")
        tables("raw", raw)
        glove("raw")


main()
