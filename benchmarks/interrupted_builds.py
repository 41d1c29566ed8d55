"""Interrupts a large build in each of its phases, as Ctrl-C does, and looks at what is left.

    python -m benchmarks.interrupted_builds [--documents 100000] [--megabytes 30] [--keep FOLDER]

A corpus of short documents and one long one is built; then its sources change a little, and a
build of them gets SIGINT in the middle of each phase. It has to end soon, with nothing of it left
in the folder, no process of it alive, and the former corpus whole. At last one is let to its end.
Ends with status 1 when anything is wrong. `--signal KILL` kills it; then what is left is what the
next build sweeps, and the former corpus has to be whole all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import psutil

import cptstudio
from benchmarks.large_corpus import write_documents, write_text
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_progress import Phase
from cptstudio.corpus.corpus import open_corpus

MODEL = Path(cptstudio.__file__).parent / "data" / "demo-base"
_ENOUGH = 0.3
_BUILD = """
import json, signal, sys
from pathlib import Path
from cptstudio.corpus.build import build_corpus
signal.signal(signal.SIGINT, signal.default_int_handler)
def tell(moment):
    share = moment.bytes_done / moment.bytes_total if moment.bytes_total else None
    print(json.dumps([moment.phase, share]), flush=True)
build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])], None, sys.argv[3], tell)
"""


def interrupted(corpus: Path, sources: Path, phase: str, how: signal.Signals) -> dict[str, Any]:
    """Build, and end it in the middle of a phase; returns what was seen."""
    command = [sys.executable, "-c", _BUILD, str(corpus), str(sources), str(MODEL)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    reached = None
    for line in process.stdout:
        now, share = json.loads(line)
        if now == phase and (share is None or share >= _ENOUGH or phase in ("checking", "saving")):
            reached = share
            break
    family = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    begun = time.monotonic()
    process.send_signal(how)
    process.stdout.close()
    process.wait()
    seconds = time.monotonic() - begun
    gone, alive = psutil.wait_procs(family, timeout=10)
    return {
        "phase": phase,
        "share_when_interrupted": reached,
        "seconds_until_its_end": round(seconds, 2),
        "status": process.returncode,
        "processes": len(gone) + len(alive),
        "processes_left": len(alive),
    }


def left_behind(corpus: Path) -> list[str]:
    """Names in a corpus's folder that are not its own."""
    version = open_corpus(corpus).manifest.version
    found = [entry.name for entry in corpus.iterdir() if entry.name.startswith(".staging")]
    found += [entry.name for entry in (corpus / "versions").iterdir() if entry.name != version]
    return found


def main() -> int:
    """Build, interrupt, and print what was seen; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=30, help="of text besides")
    parser.add_argument("--signal", default="INT", choices=("INT", "KILL"))
    parser.add_argument("--keep", type=Path, help="where to work, and what to leave there")
    options = parser.parse_args()
    how = signal.SIGINT if options.signal == "INT" else signal.SIGKILL
    place = options.keep or Path(tempfile.mkdtemp(prefix="interrupted-"))
    sources, corpus = place / "sources", place / "corpus"
    wrong = 0
    try:
        if not sources.exists():
            sources.mkdir(parents=True)
            write_documents(sources, options.documents)
            write_text(sources, options.megabytes)
            with (sources / "long.txt").open("w", encoding="utf-8") as long:
                for text in sorted(sources.glob("text-*/large.txt")):
                    # The long one is most of the text, so that it is cut.
                    long.write(text.read_text(encoding="utf-8") * 12)
        former = build_corpus(corpus, [sources], None, MODEL).corpus.manifest.fingerprint
        for phase in get_args(Phase):
            changed = sources / "00000.jsonl"
            os.utime(changed)
            if phase == "checking":  # Nothing is compared where there is another file.
                (sources / "new.txt").unlink(missing_ok=True)
            else:
                (sources / "new.txt").write_text(f"New before {phase}.", encoding="utf-8")
            seen = interrupted(corpus, sources, phase, how)
            after = open_corpus(corpus)
            seen["left_behind"] = left_behind(corpus)
            seen["former_is_whole"] = after.manifest.fingerprint == former
            with suppress(Exception):
                after.verify_documents()
                after.token_store().verify()
                seen["verified"] = True
            swept = how == signal.SIGKILL or not seen["left_behind"]
            fine = seen["former_is_whole"] and seen.get("verified") and swept
            if seen["status"] == 0:
                # It took too short a time to be interrupted: more documents are needed.
                former, fine = after.manifest.fingerprint, False
            wrong += not fine or seen["processes_left"] > 0
            print(json.dumps(seen), flush=True)
        built = build_corpus(corpus, [sources], None, MODEL)
        print(json.dumps({"last": built.changed, "left_behind": left_behind(corpus)}))
    finally:
        if options.keep is None:
            shutil.rmtree(place)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
