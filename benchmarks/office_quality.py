"""What reading Word, OpenDocument, RTF, EPUB and PowerPoint keeps, against LibreOffice's own text.

    python -m benchmarks.office_quality FOLDER [--json FILE] [--show FILE_NAME]

LibreOffice (`soffice`, Debian's libreoffice-writer-nogui) writes each file of the folder as text;
no project file is made of it. How it is measured:

- **Words** are runs of letters and digits after Unicode's NFKC.
- **In order**: the longest common subsequence of LibreOffice's words and ours, over LibreOffice's.
- **Beside**: words of ours that are not in it, over ours. LibreOffice's text has no footnotes,
  text boxes or equations; so these are read a second time from the .docx or .odt itself: what is
  still left over after them was read twice or made up.
- **Twice**: of the words beside, those that stand in runs of at least eight that our text has
  elsewhere, too.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rapidfuzz.distance import LCSseq

from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.items import Unreadable, items_of
from cptstudio.corpus.sources import find_sources

_WORD = re.compile(r"[^\W_]+")
_MARK = re.compile(r"(?<=\S)\[([0-9ivxlc]{1,6}|[*†‡]+)\]")
_KINDS = (".docx", ".odt", ".rtf", ".fodt", ".epub", ".pptx", ".odp")
_RUN = 8
_EXAMPLES = 12
_SECONDS = 300


@dataclass
class Quality:
    """What was kept of one file.

    Attributes:
        words: of LibreOffice's text.
        kept: of them in ours, in order.
        ours: words of our text.
        twice: of ours beside LibreOffice's, those in runs that our text has elsewhere.
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


def compared(name: str, theirs: list[str], ours: list[str]) -> Quality:
    """The figures of one file."""
    found = Quality(name, len(theirs), ours=len(ours))
    seen = {tuple(ours[at : at + _RUN]): at for at in range(len(ours) - _RUN + 1)}
    for step in LCSseq.opcodes(theirs, ours):
        start, end, at, to = step.src_start, step.src_end, step.dest_start, step.dest_end
        if step.tag == "equal":
            found.kept += end - start
            continue
        if start < end and len(found.missing) < _EXAMPLES:
            found.missing.append(" ".join(theirs[start:end][:20]))
        if at < to:
            if len(found.beside) < _EXAMPLES:
                found.beside.append(" ".join(ours[at:to][:20]))
            for place in range(at, to - _RUN + 1):
                found.twice += seen[tuple(ours[place : place + _RUN])] != place
    return found


def libre_office(folder: Path, out: Path) -> None:
    """Write the files of a folder as text, all by one start of the program."""
    files = [str(path) for path in sorted(folder.iterdir())]
    with tempfile.TemporaryDirectory() as home:
        command = ["soffice", f"-env:UserInstallation=file://{home}", "--headless", "--convert-to"]
        command += ["txt:Text (encoded):UTF8", "--outdir", str(out), *files]
        limit = _SECONDS + 20 * len(files)
        subprocess.run(command, check=True, capture_output=True, timeout=limit)


def measure(files: list[Path], texts: Path | None = None) -> list[Quality]:
    """The figures of files.

    Args:
        files: what is read.
        texts: where LibreOffice's texts of before are; they are made where there are none.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "in", texts or Path(temporary) / "out"
        folder.mkdir()
        names = {}
        for number, path in enumerate(files):
            # A text is named as its file without the suffix, which others may share.
            names[path] = f"{path.stem}_{number}_{path.suffix[1:]}"
            if not (out / f"{names[path]}.txt").exists():
                (folder / f"{names[path]}{path.suffix}").write_bytes(path.read_bytes())
        if any(folder.iterdir()):
            libre_office(folder, out)
        found = []
        for path in files:
            text = out / f"{names[path]}.txt"
            try:
                ours, notes = our_text(path)
            except Unreadable as reason:
                found.append(Quality(path.name, unreadable=str(reason)))
                continue
            if text.exists():
                theirs = words_of(text.read_text("utf-8-sig", "replace"))
                one = compared(path.name, theirs, words_of(ours))
                one.notes = notes
                found.append(one)
        return found


def main() -> None:
    """Print a line a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=Path, help="keep LibreOffice's texts here")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--examples", action="store_true", help="show what differs")
    given = parser.parse_args()
    files = [path for path in sorted(given.folder.rglob("*")) if path.suffix.lower() in _KINDS]
    if given.texts is not None:
        given.texts.mkdir(exist_ok=True)
    found = measure(files, given.texts)
    for one in sorted(found, key=lambda one: one.share):
        print(
            f"{one.share:8.2%} of {one.words:6,} words, {one.ours - one.kept:5,} beside, "
            f"{one.twice:4,} twice: {one.name} {one.unreadable or ''} {'; '.join(one.notes)}"
        )
        if given.examples:
            for text in one.missing:
                print("          - " + text)
            for text in one.beside:
                print("          + " + text)
    total, kept = sum(one.words for one in found), sum(one.kept for one in found)
    good = sum(one.share >= 0.99 for one in found)
    print(f"{kept / max(total, 1):.2%} of {total:,} words; {good} of {len(found)} files over 99%")
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1), "utf-8")


if __name__ == "__main__":
    main()
