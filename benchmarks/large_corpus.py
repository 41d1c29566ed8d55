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
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

_IN_A_FILE = 100_000
_LENGTH = 32
_BUILD = """
import json, resource, sys, time
from pathlib import Path
from cptstudio.corpus.build import build_corpus
phase = ""
def tell(moment):
    global phase
    if moment.phase != phase:
        phase = moment.phase
        print(json.dumps([phase, time.monotonic()]), flush=True)
model, workers = sys.argv[3] or None, int(sys.argv[4]) or None
built = build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])], None, model, tell, workers=workers)
print(json.dumps(["end", time.monotonic()]))
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
computing = sum(one.ru_utime + one.ru_stime for one in used)
print(json.dumps(["computing", built.corpus.manifest.fingerprint, computing]), flush=True)
"""


def _words() -> npt.NDArray[Any]:
    """The words of Python's own help, as often as they stand there."""
    from pydoc_data.topics import topics

    return np.array([word for name in sorted(topics) for word in topics[name].split()], object)


def write_documents(folder: Path, count: int) -> None:
    """Write so many short documents."""
    dice, words = np.random.default_rng(1), _words()
    footers = [" ".join(words[place : place + 14]) for place in range(0, 14 * 20, 14)]
    recent: list[list[str]] = []
    for first in range(0, count, _IN_A_FILE):
        amount = min(count - first, _IN_A_FILE)
        chosen = words[dice.integers(len(words), size=(amount, _LENGTH))].tolist()
        kinds, places = dice.random(amount).tolist(), dice.integers(1000, size=amount).tolist()
        with (folder / f"{first // _IN_A_FILE:05d}.jsonl").open("w", encoding="utf-8") as file:
            for number, (some, kind, place) in enumerate(
                zip(chosen, kinds, places, strict=True), start=first
            ):
                if recent and kind < 0.1:
                    some = list(recent[place % len(recent)])
                    if kind < 0.05:
                        some[-1] = f"changed{number}"
                elif number % 997 == 0:
                    recent = [*recent[-999:], some]
                text = " ".join(some)
                if kind > 0.6:  # Two paragraphs, or one with the same end as others.
                    half = " ".join(some[: _LENGTH // 2])
                    end = footers[place % 20] if kind > 0.95 else " ".join(some[_LENGTH // 2 :])
                    text = f"{half}\n\n{end}"
                file.write(json.dumps({"id": number, "text": text}) + "\n")


def write_text(folder: Path, megabytes: int) -> None:
    """Write text: a third each in records of 4 kB, in files of 1 MB, and in files of 100 MB."""
    dice, words = np.random.default_rng(2), _words()
    sentences = [
        " ".join(words[place : place + 16].tolist()).capitalize() + "."
        for place in dice.integers(len(words) - 16, size=40_000).tolist()
    ]

    def text(size: int) -> str:
        found = dice.integers(len(sentences), size=size // 100 + 1).tolist()
        return "\n\n".join(
            " ".join(sentences[one] for one in found[place : place + 4])
            for place in range(0, len(found), 4)
        )

    left = megabytes * 1_000_000
    for number in range(-(-left // 300_000_000)):
        here = min(left, 300_000_000) // 3
        left -= 3 * here
        place = folder / f"text-{number:05d}"
        place.mkdir()
        (place / "large.txt").write_text(text(here))
        for one in range(here // 1_000_000):
            (place / f"{one:03d}.txt").write_text(text(1_000_000))
        with (place / "records.jsonl").open("w") as file:
            for one in range(here // 4_000):
                file.write(json.dumps({"id": one, "text": text(4_000)}) + "\n")


def measure(sources: Path, corpus: Path, model: str, workers: int) -> dict[str, Any]:
    """Build, and watch the build and all that it starts."""
    command = [sys.executable, "-c", _BUILD, str(corpus), str(sources), model, str(workers)]
    load = os.getloadavg()[1]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    samples: list[tuple[float, int, int, int]] = []
    while process.poll() is None:
        with suppress(psutil.Error):
            found = [one.memory_info() for one in (watched, *watched.children(recursive=True))]
            own = [one.rss - getattr(one, "shared", 0) for one in found]
            resident = sum(one.rss for one in found)
            samples.append((time.monotonic(), resident, sum(own), own[0]))
        # Looking takes time itself, on what is measured.
        time.sleep(0.1 if len(samples) < 600 else 1)
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    if process.returncode:
        raise SystemExit(f"the build ended with status {process.returncode}")
    _, fingerprint, computing = lines.pop()
    phases = {}
    for (name, begin), (_, end) in pairwise(lines):
        here = [private for moment, _, private, _ in samples if begin <= moment <= end]
        phases[name] = {
            "seconds": round(end - begin, 1),
            "peak_private_megabytes": max(here, default=0) // 1_000_000,
        }
    return {
        "fingerprint": fingerprint,
        "seconds": lines[-1][1] - lines[0][1],
        "seconds_of_computing": computing,
        "load_of_five_minutes": [load, os.getloadavg()[1]],
        "phases": phases,
        "peak_resident_bytes": max(one[1] for one in samples),
        "peak_private_bytes": max(one[2] for one in samples),
        "peak_private_bytes_of_the_build_itself": max(one[3] for one in samples),
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
    parser.add_argument("--sources", type=Path, help="what is there, in place of what is written")
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="large-"))
    place.mkdir(exist_ok=True)
    parts = (4, 2, 1) if options.project else (1,)
    try:
        for part in parts:
            sources = options.sources or place / f"sources-{options.documents // part}"
            if not sources.exists():
                sources.mkdir()
                write_documents(sources, options.documents // part)
                write_text(sources, options.megabytes // part)
            size = sum(file.stat().st_size for file in sources.rglob("*") if file.is_file())
            corpus = place / "corpus"
            shutil.rmtree(corpus, ignore_errors=True)
            measured = measure(sources, corpus, options.model, options.workers)
            report = json.loads((corpus / "manifest.json").read_text())["report"]
            result = {
                "documents": report["documents"],
                "source_bytes": size,
                "bytes_per_second": round(size / measured["seconds"]),
                **measured,
            }
            print(json.dumps(result, indent=2), flush=True)
    finally:
        if options.keep is None:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
