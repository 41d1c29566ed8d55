"""Time and memory of building corpora of very many short documents, and of much text.

    python -m benchmarks.large_corpus [--documents 1000000] [--megabytes 0] [--model FOLDER]
                                      [--workers N] [--keep FOLDER]

Writes JSON lines of documents of some 200 bytes, a twentieth of them equal to another one and a
twentieth nearly so, in files of 100,000, and text files of 100 MB for `--megabytes`; builds a
corpus with deduplication in a process of its own, and samples it and all that it starts. Resident
memory is given as the system counts it, and without pages that are mapped from files, which the
system drops when memory is short. The figures are one JSON object for each size; `--project` builds
a quarter and a half of the documents first, so that what memory takes of a document is seen.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

_SYLLABLES = (
    ("ka", "lo", "mi", "ter", "vo", "sun", "gre", "pla"),
    ("n", "r", "st", "l", "m"),
    ("e", "a", "ing", "ed", "o", "us", ""),
)
_WORDS = [a + b + c for a in _SYLLABLES[0] for b in _SYLLABLES[1] for c in _SYLLABLES[2]]
_IN_A_FILE = 100_000
_TEXT_FILE = 100_000_000
_BUILD = """
import json, resource, sys, time
from pathlib import Path
from cptstudio.corpus.build import build_corpus
begun, phase = time.monotonic(), ""
def tell(moment):
    global phase
    if moment.phase != phase:
        phase = moment.phase
        print(json.dumps([phase, time.monotonic() - begun]), flush=True)
model, workers = sys.argv[3] or None, int(sys.argv[4]) or None
build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])], None, model, tell, workers=workers)
print(json.dumps(["end", time.monotonic() - begun]))
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps(["computing", sum(one.ru_utime + one.ru_stime for one in used)]), flush=True)
"""


def write_documents(folder: Path, count: int) -> int:
    """Write so many short documents; returns their bytes."""
    dice = random.Random(1)
    size = 0
    recent: list[list[str]] = []
    for first in range(0, count, _IN_A_FILE):
        with (folder / f"{first // _IN_A_FILE:05d}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(first, min(count, first + _IN_A_FILE)):
                kind = dice.random()
                words = dice.choices(_WORDS, k=36)
                if recent and kind < 0.1:
                    words = list(dice.choice(recent))
                    if kind < 0.05:
                        words[dice.randrange(36)] = "changed"
                elif number % 997 == 0:
                    recent = [*recent[-999:], words]
                text = " ".join(words)
                size += len(text)
                file.write(json.dumps({"id": number, "text": text}) + "\n")
    return size


def write_text(folder: Path, megabytes: int) -> int:
    """Write files of text, each another one; returns their bytes."""
    dice = random.Random(2)
    written = 0
    while written < megabytes * 1_000_000:
        with (folder / f"text-{written // _TEXT_FILE:05d}.txt").open("w", encoding="utf-8") as file:
            size = 0
            while size < _TEXT_FILE:
                size += file.write(" ".join(dice.choices(_WORDS, k=2000)) + "\n")
        written += size
    return written


def measure(sources: Path, corpus: Path, model: str, workers: int) -> dict[str, Any]:
    """Build, and watch the build and all that it starts."""
    command = [sys.executable, "-c", _BUILD, str(corpus), str(sources), model, str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    resident = private = builder = 0
    while process.poll() is None:
        with suppress(psutil.Error):
            found = [one.memory_info() for one in (watched, *watched.children(recursive=True))]
            own = [one.rss - getattr(one, "shared", 0) for one in found]
            resident = max(resident, sum(one.rss for one in found))
            private, builder = max(private, sum(own)), max(builder, own[0])
        time.sleep(0.1)
    assert process.stdout is not None
    phases = [json.loads(line) for line in process.stdout]
    if process.returncode:
        raise SystemExit(f"the build ended with status {process.returncode}")
    _, computing = phases.pop()
    ends = {name: end for (name, _), (_, end) in pairwise(phases)}
    begins = dict(phases)
    return {
        "seconds": phases[-1][1],
        "seconds_of_computing": computing,
        "phases": {name: ends[name] - begins[name] for name in ends},
        "peak_resident_bytes": resident,
        "peak_private_bytes": private,
        "peak_private_bytes_of_the_build_itself": builder,
    }


def main() -> None:
    """Write, build, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=0, help="of text besides")
    parser.add_argument("--model", default="", help="a folder, to tokenise, too")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--project", action="store_true", help="a quarter and a half before")
    parser.add_argument("--keep", type=Path, help="where to work, and what to leave there")
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="large-"))
    place.mkdir(exist_ok=True)
    parts = (4, 2, 1) if options.project else (1,)
    try:
        for part in parts:
            sources = place / f"sources-{options.documents // part}"
            if not sources.exists():
                sources.mkdir()
                write_documents(sources, options.documents // part)
                write_text(sources, options.megabytes // part)
            size = sum(file.stat().st_size for file in sources.iterdir())
            corpus = place / "corpus"
            shutil.rmtree(corpus, ignore_errors=True)
            measured = measure(sources, corpus, options.model, options.workers)
            report = json.loads((corpus / "manifest.json").read_text())["report"]
            result = {
                "documents": report["documents"],
                "source_bytes": size,
                "bytes_per_second": size / measured["seconds"],
                **measured,
            }
            print(json.dumps(result, indent=2), flush=True)
    finally:
        if options.keep is None:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
