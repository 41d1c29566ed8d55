"""Looks at documents while they are stored: what a person may want to check before training.

Whole documents are searched for long lines; the rest is judged by each document's beginning.
Letters are counted by Unicode block, which tells scripts apart; `languages` tells languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.manifest import SuspiciousDocument

_LONG_LINE = 100_000
_SAMPLE = 1 << 13
_EXAMPLES = 50
_MOJIBAKE = re.compile("Ã[\u0080-\u00bf]|â€[\u0098-\u2122]|Â[\u00a0-\u00bf]|\ufffd")
_SHARE_OF_DIGITS = 0.5

# First code points of ranges and the script of the letters in them; "" ends a range.
_RANGES: tuple[tuple[int, str], ...] = (
    (0x0, ""),
    (0x41, "Latin"),
    (0x5B, ""),
    (0x61, "Latin"),
    (0x7B, ""),
    (0xC0, "Latin"),
    (0x250, ""),
    (0x370, "Greek"),
    (0x400, "Cyrillic"),
    (0x530, "Armenian"),
    (0x590, "Hebrew"),
    (0x600, "Arabic"),
    (0x700, ""),
    (0x900, "Devanagari"),
    (0x980, "Bengali"),
    (0xA00, "Other Indic"),
    (0xE00, "Thai"),
    (0xE80, ""),
    (0x10A0, "Georgian"),
    (0x1100, "Hangul"),
    (0x1200, "Ethiopic"),
    (0x1380, ""),
    (0x1E00, "Latin"),
    (0x1F00, "Greek"),
    (0x2000, ""),
    (0x3041, "Kana"),
    (0x3100, ""),
    (0x3400, "Han"),
    (0xA000, ""),
    (0xAC00, "Hangul"),
    (0xD7B0, ""),
    (0x20000, "Han"),
    (0x32000, ""),
)
_STARTS = np.array([start for start, _ in _RANGES])
# Looking a character up takes an eighth of the time of searching for its range.
_RANGE_OF = np.searchsorted(_STARTS, np.arange(_STARTS[-1] + 1), side="right") - 1
_RANGE_OF = _RANGE_OF.astype(np.uint8)


@dataclass(frozen=True)
class Finding:
    """A finding about a document; `number` is its number among those looked at together."""

    kind: str
    number: int
    label: str
    reason: str


@dataclass(frozen=True)
class Inspected:
    """Findings about some documents.

    Attributes:
        letters: int64 [ranges of characters], how many there are in their beginnings.
        findings: in the order of the documents.
    """

    letters: npt.NDArray[np.int64]
    findings: list[Finding]


class Inspector:
    """Looks at documents that come one after the other, in parts."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._beginnings: list[str] = []
        self._sample = bytearray()
        self._line = 0
        self._longest = 0

    def part(self, data: bytes) -> None:
        """Take the next part of the current document."""
        if len(self._sample) < _SAMPLE:
            self._sample += data[: _SAMPLE - len(self._sample)]
        if len(data) + self._line < _LONG_LINE and len(data) < _LONG_LINE:
            last = data.rfind(b"\n")
            self._line = self._line + len(data) if last < 0 else len(data) - last - 1
            return
        first, *others = data.split(b"\n")
        self._longest = max(self._longest, self._line + len(first), *map(len, others), 0)
        self._line = len(others[-1]) if others else self._line + len(first)

    def end(self, number: int | None, label: str) -> None:
        """Complete the current document; None forgets it."""
        if number is not None:
            text = self._sample.decode("utf-8", "ignore")
            self._beginnings.append(text)
            longest = max(self._longest, self._line)
            if longest >= _LONG_LINE:
                self._add("very long line", number, label, f"a line of {longest:,} bytes")
            wrong = 0 if text.isascii() else len(_MOJIBAKE.findall(text))
            if wrong > max(2, len(text) // 500):
                self._add("mojibake", number, label, f"{wrong:,} wrongly decoded characters")
            digits = len(self._sample) - len(self._sample.translate(None, b"0123456789"))
            if digits > _SHARE_OF_DIGITS * len(self._sample) and len(self._sample) >= 200:
                share = digits / len(self._sample)
                self._add("mostly numbers", number, label, f"{share:.0%} digits")
        self._sample.clear()
        self._line = self._longest = 0

    def take(self) -> Inspected:
        """Return what was seen in the documents that are complete, and forget it."""
        points = np.frombuffer("".join(self._beginnings).encode("utf-32-le"), dtype="<u4")
        ranges = _RANGE_OF[np.minimum(points, _STARTS[-1])]
        letters = np.bincount(ranges, minlength=len(_RANGES)).astype(np.int64)
        taken = Inspected(letters, self._findings)
        self._beginnings, self._findings = [], []
        return taken

    def _add(self, kind: str, number: int, label: str, reason: str) -> None:
        self._findings.append(Finding(kind, number, label, reason))


class Inspection:
    """Collects what was seen in all documents.

    Attributes:
        counts: documents by kind of suspicion.
        examples: the first of them.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: list[SuspiciousDocument] = []
        self._letters = np.zeros(len(_RANGES), dtype=np.int64)

    def add(self, inspected: Inspected, first: int) -> None:
        """Take what was seen in some documents, of which the first has this number."""
        self._letters += inspected.letters
        for one in inspected.findings:
            self.counts[one.kind] = self.counts.get(one.kind, 0) + 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(
                    SuspiciousDocument(
                        document=first + one.number, label=one.label, reason=one.reason
                    )
                )

    def renumber(self, numbers: npt.NDArray[np.int64]) -> None:
        """Give documents other numbers, int64 [documents]."""
        for one in self.examples:
            one.document = int(numbers[one.document])

    def scripts(self) -> dict[str, float]:
        """Return the share of the letters seen, by script, the largest first."""
        counts: dict[str, int] = {}
        for (_, name), count in zip(_RANGES, self._letters.tolist(), strict=True):
            if name:
                counts[name] = counts.get(name, 0) + count
        total = sum(counts.values())
        ordered = sorted(counts.items(), key=lambda pair: -pair[1])
        return {name: count / total for name, count in ordered if count}
