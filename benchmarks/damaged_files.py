"""Damages valid files of every format and builds corpora of them: no file may end a build.

    python -m benchmarks.damaged_files --files 20000 --seed 1
    python -m benchmarks.damaged_files --files 100000 --state FOLDER --shard 1/4

Some hundred files go into each build, undamaged ones among them, in a process of its own with a
limit of time. Counted are builds that ended; files of which the corpus knows nothing, neither a
document nor a reason; undamaged files that did not give their text; reasons that are in the words
of a program and not of its user. Ends with status 1 when there is any. The folders of builds that
went wrong are kept and named; of the files of a build that ended nothing is known, and they are
counted as such.

With `--state` what came of each build is kept there, so that a run that was ended goes on where it
was, and shards, of which each takes its part of the builds, add up: the last one to end, or the
same command once more without `--shard`, prints what came of all of them.

What is done to a file follows from the seed and the file's number alone. Of some valid files a few
bytes are new each time: dates, keys of encrypted ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.damage.damages import DAMAGES
from benchmarks.damage.material import material, sentences
from cptstudio import durable

BATCH = 400
_SECONDS = 900
_INSIDE = re.compile(
    r"NoneType|object has no|codec can|magic number|zip file|Traceback|[a-z]Error:|<class|"
    r"positional argument|list index|"
    r"not subscriptable|[\x00-\x1f\x7f]"
)
_TOO_LONG = re.compile("given up after|did not answer within")
_ANCHORS = 3


@dataclass
class Tally:
    """What came of the damaged files.

    Attributes:
        files: damaged ones in all.
        sound: undamaged ones in all.
        builds: there were in all.
        ended: builds that ended early, or came to no end.
        unjudged: files of those, damaged or not; all others are in `outcomes`.
        unnamed: files of which a corpus knows nothing.
        lost: undamaged ones that did not give their one document.
        words: reasons in the words of a program.
        outcomes: how many files there are of each damage and what came of it.
        slow: files whose reader was ended because it took too long.
        slowest: seconds that one file took, and its name, of those that took more than two.
        memory: bytes of the largest process of each build, in their order.
    """

    files: int = 0
    sound: int = 0
    builds: int = 0
    ended: list[str] = field(default_factory=list)
    unjudged: int = 0
    unnamed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    slow: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    memory: list[int] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How much went wrong."""
        return len(self.ended) + len(self.unnamed) + len(self.lost) + len(self.words)

    def add(self, other: Tally) -> None:
        """Add another one."""
        for name in ("files", "sound", "builds", "unjudged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("ended", "unnamed", "lost", "words", "slow", "memory"):
            getattr(self, name).extend(getattr(other, name))
        self.outcomes.update(other.outcomes)
        self.slowest = max(self.slowest, (other.slowest[0], other.slowest[1]))


def main() -> int:
    """Damage and build; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=2_000, help="damaged files in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--material", type=Path, help="a folder with further valid files")
    parser.add_argument("--state", type=Path, help="a folder that keeps what came of each build")
    parser.add_argument("--shard", default="1/1", help="such as 2/4: the second of four parts")
    parser.add_argument("--worker", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        build(*options.worker)
        return 0
    started = time.monotonic()
    part, parts = map(int, options.shard.split("/"))
    tally = run(options.files, options.seed, options.material, options.state, part, parts)
    print_tally(tally, options.seed, time.monotonic() - started)
    return int(tally.wrong > 0)


def run(
    files: int,
    seed: int,
    folder: Path | None = None,
    state: Path | None = None,
    part: int = 1,
    parts: int = 1,
) -> Tally:
    """Damage so many files, reproducibly by the seed, and build corpora of them.

    Args:
        files: damaged ones in all parts.
        seed: decides what is done to them.
        folder: with further valid files.
        state: keeps what came of each build.
        part: of the builds, from 1.
        parts: how many parts there are.
    """
    valid = material(folder)
    tally = Tally()
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, files, BATCH)):
        kept = state / f"{seed}-{number:06d}.json" if state is not None else None
        if kept is not None and kept.exists():
            tally.add(Tally(**json.loads(kept.read_text(encoding="utf-8"))))
            continue
        if number % parts != part - 1:
            continue
        place = Path(tempfile.mkdtemp(prefix=f"damaged-{seed}-{number}-"))
        count = min(BATCH, files - start)
        made = write_batch(seed, place / "s", count, valid, start)
        one = Tally()
        check_batch(place, made, one)
        if not one.wrong:
            shutil.rmtree(place)
        if kept is not None:
            durable.write_json(kept, {**vars(one), "outcomes": dict(one.outcomes)})
        tally.add(one)
        print(f"\r{tally.files:,} files, {tally.wrong} wrong", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return tally


def write_batch(
    seed: int, folder: Path, count: int, valid: list[tuple[str, bytes]], first: int
) -> dict[str, str]:
    """Write damaged files and a few sound ones; returns what was done to each, by path."""
    made = {}
    for number in range(first, first + count):
        # Of its own, so that no file depends on the sizes of those before it.
        dice = random.Random(f"{seed}-{number}")
        name, data = dice.choice(valid)
        kind = dice.choice(list(DAMAGES))
        name, data = DAMAGES[kind](dice, name, data, valid)
        # A folder each: names need not differ.
        path = f"{number:06d}/{name}"
        target = os.fsencode(folder / path)
        os.makedirs(os.path.dirname(target))
        with open(target, "xb") as file:
            file.write(data)
        made[path] = kind
    dice = random.Random(f"{seed}-{first}-sound")
    for number in range(_ANCHORS):
        path = f"{dice.randrange(count) + first:06d}/sound-{number}.txt"
        (folder / path).write_text(sentences(first + number, 20), encoding="utf-8")
        made[path] = "sound"
    return made


def check_batch(place: Path, made: dict[str, str], tally: Tally) -> None:
    """Build one batch in a process of its own, and look what the corpus knows of each file."""
    sound = sum(kind == "sound" for kind in made.values())
    tally.builds += 1
    tally.sound += sound
    tally.files += len(made) - sound
    command = [sys.executable, "-m", "benchmarks.damaged_files", "--worker", str(place / "s")]
    try:
        ended = subprocess.run(
            [*command, str(place / "c")], capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        tally.ended.append(f"{place}: not done after {_SECONDS} s")
        tally.unjudged += len(made)
        return
    if ended.returncode:
        tail = ended.stderr.strip().splitlines()[-1:] or ["no word"]
        tally.ended.append(f"{place}: status {ended.returncode}: {tail[0][:200]}")
        tally.unjudged += len(made)
        return
    answer = json.loads(ended.stdout.splitlines()[-1])
    tally.memory.append(answer["memory"])
    tally.slowest = max(tally.slowest, (answer["seconds"], f"{place}: {answer['slowest']}"))
    known: dict[str, list[dict[str, Any]]] = {}
    for record in answer["records"]:
        known.setdefault(_key(record["file"].partition("/")[2]), []).append(record)
    for path, kind in made.items():
        _judge(f"{place}/s/{path}", kind, known.get(_key(path), []), tally)


def _key(path: str) -> str:
    """What a corpus knows a file by: a damaged one by its folder, for its name may be any."""
    folder, _, name = path.partition("/")
    return path if name.startswith("sound-") else folder


def _judge(path: str, kind: str, records: list[dict[str, Any]], tally: Tally) -> None:
    reasons = [one["skipped"] for one in records if one["skipped"]]
    notes = [note for one in records for note in one["notes"]]
    documents = sum(one["documents"] for one in records)
    if not records or any(not one["skipped"] and not one["documents"] for one in records):
        tally.unnamed.append(path)
    if kind == "sound" and (documents != 1 or reasons):
        tally.lost.append(path)
    tally.slow += [f"{path}: {text}" for text in reasons if _TOO_LONG.search(text)]
    tally.words += [f"{path}: {text}" for text in reasons + notes if _INSIDE.search(text)]
    if documents and (reasons or notes):
        outcome = "read in part, with a reason"
    elif documents:
        outcome = "read"
    else:
        outcome = "named"
    tally.outcomes[f"{kind}: {outcome}"] += 1


def build(sources: Path, corpus: Path) -> None:
    """Build a corpus of a folder and print what it knows of each file."""
    import resource

    import cptstudio
    from cptstudio.corpus.build import build_corpus
    from cptstudio.corpus.build_progress import Progress
    from cptstudio.corpus.manifest import BuildSettings

    slowest = ("", 0.0)

    def tell(moment: Progress) -> None:
        nonlocal slowest
        if moment.slowest is not None:
            slowest = max(slowest, moment.slowest, key=lambda one: one[1])

    model = Path(cptstudio.__file__).parent / "data" / "demo-base"
    settings = BuildSettings(include=("hidden",))
    built = build_corpus(corpus, [sources], settings, model, tell).corpus
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    memory = max(resource.getrusage(one).ru_maxrss for one in whose)
    records = [record.model_dump() for record in built.sources()]
    print(
        json.dumps(
            {
                "records": records,
                "seconds": slowest[1],
                "slowest": slowest[0],
                "memory": memory * (1 if sys.platform == "darwin" else 1024),
            }
        )
    )


def print_tally(tally: Tally, seed: int, seconds: float) -> None:
    """Print what came of it."""
    print(
        f"{tally.files:,} damaged and {tally.sound:,} sound files in {tally.builds:,} builds, "
        f"seed {seed}, {seconds:,.0f} s"
    )
    for outcome, count in sorted(tally.outcomes.items()):
        print(f"  {outcome:44} {count:>8,}")
    if tally.unjudged:
        print(f"  {'in builds that ended':44} {tally.unjudged:>8,}")
    if tally.slowest[0]:
        print(f"slowest file {tally.slowest[0]:.1f} s ({tally.slowest[1]})")
    if tally.memory:
        half = len(tally.memory) // 2
        for title, some in (("first", tally.memory[:half]), ("second", tally.memory[half:])):
            if some:
                middle = statistics.median(some)
                print(
                    f"largest process, {title} half of the builds: {middle / 1e6:,.0f} MB in the "
                    f"middle, {max(some) / 1e6:,.0f} MB at most"
                )
    for title, found in (
        ("builds ended", tally.ended),
        ("files that took too long, and were ended", tally.slow),
        ("files unnamed", tally.unnamed),
        ("sound files lost", tally.lost),
        ("reasons in a program's words", tally.words),
    ):
        print(f"{len(found):,} {title}")
        for line in found[:20]:
            print(f"    {line!r}")


if __name__ == "__main__":
    sys.exit(main())
