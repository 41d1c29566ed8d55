"""What reading office documents, web pages and books keeps, against LibreOffice's own reading.

    python -m benchmarks.office_quality [FOLDER ...] [--texts FOLDER] [--json FILE] [--examples]

Without a folder the documents of `benchmarks.office_documents` are made and measured. LibreOffice
(`benchmarks.libre_office`) stores each file as text and as flat OpenDocument; of a book each
chapter, of slides only the latter. No project file is made of it. How it is measured:

- **Words** are runs of letters and digits after Unicode's NFKC.
- **In order**: the longest common subsequence of the words of LibreOffice's text and ours. Its text
  has no notes, text boxes, shapes and equations; these come from its flat OpenDocument, and their
  words are looked for in order among those of ours that are left over. The share is of all words.
- **More**: words of ours that are left over after both, over ours: read twice, or made up, or what
  LibreOffice does not read. **Twice** are those of them in runs of eight that ours has elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

from rapidfuzz.distance import LCSseq

from benchmarks.libre_office import SLIDES, read_again
from benchmarks.office_documents import make
from benchmarks.office_readings import asides_in, chapters, heads_in, slides_in
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.items import items_of
from cptstudio.corpus.sources import find_sources

_WORD = re.compile(r"[^\W_]+")
_MARK = re.compile(r"(?<=\S)\[([0-9ivxlc]{1,6}|[*†‡]+)\]")
_LABEL = re.compile(r"^\[(?:[0-9ivxlc]{1,6}|[*†‡]+)\] ", re.MULTILINE)
_KINDS = frozenset(
    {".docx", ".docm", ".odt", ".ott", ".rtf", ".fodt", ".html", ".epub", ".pptx", ".odp", ".fodp"}
)
_RUN = 8
_EXAMPLES = 12
_GOOD = 0.99


@dataclass
class Quality:
    """What was kept of one file.

    Attributes:
        words: of LibreOffice's text and asides.
        kept: of them in ours, in order.
        ours: words of our text.
        twice: of ours that are left over, those in runs that our text has elsewhere.
        missing: examples of runs that ours lacks.
        beside: examples of runs that only ours has.
        notes: what our reader said.
    """

    name: str
    words: int = 0
    kept: int = 0
    ours: int = 0
    twice: int = 0
    missing: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreadable: str | None = None

    @property
    def share(self) -> float:
        """Of LibreOffice's words, how many are in ours in order."""
        return self.kept / self.words if self.words else 1.0

    @property
    def more(self) -> float:
        """Of our words, how many are left over."""
        return (self.ours - self.kept) / self.ours if self.ours else 0.0

    @property
    def is_good(self) -> bool:
        """At least 99 % once and in order."""
        return self.unreadable is None and self.share >= _GOOD and self.more <= 1 - _GOOD


def words_of(text: str) -> list[str]:
    """The words that are compared; the mark of a note is part of its word, as in LibreOffice's."""
    text = _MARK.sub(r"\1", text)
    return _WORD.findall(unicodedata.normalize("NFKC", text.replace("\N{SOFT HYPHEN}", "")))


def our_text(path: Path) -> tuple[str, list[str]]:
    """What our reader makes of a file, and what it says of it."""
    texts, notes = [], []
    for file in find_sources([path])[0]:
        for item in items_of(file):
            texts += ["".join(parts) for parts in read_documents(item, "text")]
            item.findings.finish()
            notes += item.notes
    return "\n\n".join(texts), notes


def compared(name: str, theirs: list[str], ours: list[str], asides: list[str]) -> Quality:
    """The figures of one file; `asides` are the words that LibreOffice's text does not have."""
    found = Quality(name, len(theirs) + len(asides), ours=len(ours))
    seen = {tuple(ours[at : at + _RUN]): at for at in range(len(ours) - _RUN + 1)}
    left: list[int] = []
    for step in LCSseq.opcodes(theirs, ours):
        start, end, at, to = step.src_start, step.src_end, step.dest_start, step.dest_end
        if step.tag == "equal":
            found.kept += end - start
            continue
        if start < end:
            found.missing.append(" ".join(theirs[start:end][:20]))
        left += range(at, to)
    more: list[int] = []
    for step in LCSseq.opcodes(asides, [ours[place] for place in left]):
        start, end, at, to = step.src_start, step.src_end, step.dest_start, step.dest_end
        if step.tag == "equal":
            found.kept += end - start
            continue
        if start < end:
            found.missing.append("(aside) " + " ".join(asides[start:end][:20]))
        more += left[at:to]
    for _, run in groupby(enumerate(more), lambda pair: pair[1] - pair[0]):
        places = [place for _, place in run]
        found.beside.append(" ".join(ours[place] for place in places[:20]))
        for place in places[: max(0, len(places) - _RUN + 1)]:
            found.twice += seen[tuple(ours[place : place + _RUN])] != place
    return found


def measure(files: Sequence[Path], texts: Path) -> list[Quality]:
    """The figures of files; LibreOffice's readings are kept in `texts` and used again."""
    names = {path: texts / f"{path.stem}_{path.suffix[1:]}_{_mark(path)}" for path in files}
    wanted: dict[Path, list[Path]] = {}
    for path, name in names.items():
        if path.suffix == ".epub":
            for chapter in chapters(path, name):
                wanted[chapter] = [chapter.with_suffix(".txt")]
        elif path.suffix.lower() in SLIDES:
            wanted[path] = [name.with_suffix(".fodp")]
        else:
            wanted[path] = [name.with_suffix(".txt"), name.with_suffix(".fodt")]
    new = {path: made for path, made in wanted.items() if not all(map(Path.exists, made))}
    read_again(new)
    found = []
    for path in files:
        theirs = reading(path, names[path])
        if theirs is None:
            continue
        try:
            ours, notes = our_text(path)
        except Exception as reason:  # As the guard of a build has it.
            found.append(Quality(path.name, unreadable=repr(reason)))
            continue
        # The mark before a note is not among LibreOffice's words of it.
        bare = _LABEL.sub("", ours)
        text, mine = words_of(theirs[0]), words_of(bare)
        one = compared(path.name, text, mine, once(map(words_of, theirs[1]), text, mine))
        one.notes = notes
        found.append(one)
    return found


def once(pieces: Iterable[list[str]], text: list[str], ours: list[str]) -> list[str]:
    """The words of what stands beside a text, but for pieces that LibreOffice has there, too.

    It writes a shape with a box as both, and has some boxes in its text. A piece counts as often as
    ours has it, and at least once.
    """
    kept: list[str] = []
    seen: Counter[str] = Counter()
    whole, own = (" " + "  ".join(words) + " " for words in (text, ours))
    for words in pieces:
        run = " " + "  ".join(words) + " "
        if whole.count(run) + seen[run] < max(1, own.count(run)):
            seen[run] += 1
            kept += words
    return kept


def _mark(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def reading(path: Path, name: Path) -> tuple[str, list[str]] | None:
    """LibreOffice's text of a file and what is beside it; None where it made nothing of it."""
    if path.suffix == ".epub":
        parts = [chapter.with_suffix(".txt") for chapter in chapters(path, name)]
        parts = [part for part in parts if part.exists()]
        text = "\n".join(part.read_text("utf-8-sig", "replace") for part in parts)
        return (text, []) if parts else None
    flat = name.with_suffix(".fodp")
    if flat.exists():
        return slides_in(flat), []
    flat, text_file = name.with_suffix(".fodt"), name.with_suffix(".txt")
    if not text_file.exists() or not flat.exists():
        return None
    heads = heads_in(flat) if path.suffix == ".html" else []
    text = text_file.read_text("utf-8-sig", "replace")
    return text, [*heads[:1], *asides_in(flat), *heads[1:]]


def main() -> None:
    """Print a line a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--texts", type=Path, help="keep LibreOffice's readings here")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--examples", action="store_true", help="show what differs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = given.folders
        if not folders:
            folders = [Path(temporary) / "documents"]
            make(folders[0])
        files = [
            path.resolve()
            for folder in folders
            for path in sorted(folder.rglob("*") if folder.is_dir() else [folder])
            if path.suffix.lower() in _KINDS and path.parent.name != "sources"
        ]
        texts = given.texts or Path(temporary) / "texts"
        texts.mkdir(exist_ok=True, parents=True)
        found = measure(files, texts.resolve())
    for one in sorted(found, key=lambda one: (one.is_good, one.share)):
        tell(one, examples=given.examples)
    total, kept = sum(one.words for one in found), sum(one.kept for one in found)
    more = sum(one.ours - one.kept for one in found)
    good, read = sum(one.is_good for one in found), len(files) - len(found)
    print(
        f"{kept / max(total, 1):.2%} of {total:,} words in order, {more:,} more; {good} of "
        f"{len(found)} files have 99% once and in order; LibreOffice made nothing of {read}"
    )
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1), "utf-8")


def tell(one: Quality, *, examples: bool) -> None:
    """Print a file's figures."""
    print(
        f"{one.share:8.2%} of {one.words:6,} words in order, {one.ours - one.kept:5,} more "
        f"({one.more:.1%}), {one.twice:4,} twice: {one.name} {one.unreadable or ''} "
        f"{'; '.join(one.notes)}"
    )
    for text in one.missing[:_EXAMPLES] if examples else ():
        print("          - " + text)
    for text in one.beside[:_EXAMPLES] if examples else ():
        print("          + " + text)


if __name__ == "__main__":
    main()
