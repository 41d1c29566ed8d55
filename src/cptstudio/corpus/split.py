"""Which side a document is on: training, validation or test.

A document's side follows from its own content: a keyed BLAKE2b hash of the cleaned text, read
as a fraction u of 1, makes it a test document when u < test, a validation document when
u < test + validation, and a training document else. Adding, removing or renaming other
documents cannot move it, and the whole document goes to one side before it is cut into rows.

In a small corpus the hash may give a held-out side nothing. Then the documents with the lowest
hashes are *pinned* there, one or a few (`_minimum`), none of them so large that training would
lose much text to it. Pins are written into the manifest and kept by every later build under
the same name, and a later build pins only documents that the former one did not have: so no
document ever moves, and what is added follows the plain rule once the corpus has grown.

A long document that is most of a corpus is no whole in this: its sections are, see `sections`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from cptstudio.corpus.token_store import SIDES, Side
from cptstudio.validation import LateModel

_KEY = b"cpt-studio document split 1"
_LARGEST_PIN = 0.2


class SplitRule(LateModel):
    """Shares of the held-out sides, and what builds decided once and for all.

    Attributes:
        pinned: documents with their sides, by content hash in hexadecimal.
        sectioned: content hashes of documents that are held out by sections, see `sections`.
    """

    model_config = ConfigDict(extra="forbid")

    validation: float = Field(0.01, ge=0, le=0.5)
    test: float = Field(0.01, ge=0, le=0.5)
    pinned: dict[str, Side] = {}
    sectioned: list[str] = []


def new_content_hash() -> hashlib.blake2b:
    """The hash of a document's cleaned UTF-8 text, 16 bytes; it decides side and identity."""
    return hashlib.blake2b(digest_size=16, key=_KEY)


def fractions(hashes: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    """Return each document's u, from the first eight bytes of its hash, [documents] in [0, 1)."""
    words = np.ascontiguousarray(hashes).view("<u8").reshape(-1, 2)[:, 0]
    # The lowest bits are dropped, or a value just under 1 would round to it.
    return (words >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def sides_of(
    hashes: npt.NDArray[np.void],
    lengths: npt.NDArray[np.int64],
    rule: SplitRule,
    settled: npt.NDArray[np.void] | None = None,
) -> tuple[npt.NDArray[np.uint8], SplitRule]:
    """Return the sides of distinct documents.

    Args:
        hashes: content hashes, 16 bytes each, [documents].
        lengths: bytes of each document, [documents].
        rule: shares, and the pins of former builds.
        settled: content hashes of the former build's documents, which are never newly pinned.

    Returns:
        Indices into `SIDES`, uint8 [documents], and the rule with any new pins.
    """
    u = fractions(hashes)
    sides = np.zeros(len(u), dtype=np.uint8)
    sides[u < rule.test + rule.validation] = SIDES.index("validation")
    sides[u < rule.test] = SIDES.index("test")
    pinned = dict(rule.pinned)
    words = np.ascontiguousarray(hashes).view("<u8").reshape(-1, 2)
    # Of a long document there are thousands, so not each is looked for by itself.
    wanted = np.frombuffer(bytes.fromhex("".join(pinned)), dtype="<u8").reshape(-1, 2)
    for place in np.flatnonzero(np.isin(words[:, 0], wanted[:, 0])).tolist():
        side_of_pin = pinned.get(bytes(hashes[place]).hex())
        if side_of_pin is not None:
            sides[place] = SIDES.index(side_of_pin)
    order: npt.NDArray[np.intp] | None = None
    total = int(lengths.sum())
    held_out: tuple[Side, ...] = ("validation", "test")
    for side in held_out:
        if not getattr(rule, side):
            continue
        number = SIDES.index(side)
        lacking = _minimum(len(u), side) - int((sides == number).sum())
        if lacking <= 0:
            continue
        if order is None:
            order = np.argsort(u, kind="stable")
            if settled is not None:
                known = np.ascontiguousarray(settled).view("<u8").reshape(-1, 2)[:, 0]
                order = order[~np.isin(words[order, 0], known)]
        for place in order[sides[order] == 0]:
            if lacking <= 0:
                break
            if lengths[place] <= _LARGEST_PIN * total or len(u) < 5:
                sides[place] = number
                pinned[bytes(hashes[place]).hex()] = side
                lacking -= 1
    return sides, rule.model_copy(update={"pinned": pinned})


def _minimum(documents: int, side: Side) -> int:
    """Documents that a held-out side shall have: a tenth of a small corpus, at most eight."""
    if side == "validation":
        return 0 if documents < 2 else min(8, max(1, documents // 10))
    return 0 if documents < 10 else min(4, documents // 20 + 1)
