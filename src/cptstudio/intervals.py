"""How sure a difference between two models is: the paired bootstrap over documents.

Both models are measured on the same documents, so documents are drawn with replacement and the
difference of the two models is formed anew for each draw (Efron and Tibshirani 1993, chapter 13;
Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation"). Documents are
what is drawn because tokens of one document depend on one another.

Often there is little text, of a few long documents. A document that holds more than a twentieth of
the text is drawn in blocks of neighboring sections (Künsch 1989), and the ends are widened for
small numbers of blocks as Student's t does (Hesterberg 2015, "What Teachers Should Know About the
Bootstrap", expanded percentile). With too few blocks there is no interval, and nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

DRAWS = 2_000
FEWEST_BLOCKS = 8
"""With fewer, or with few that hold nearly all of the text, there is no telling."""
MOST_OF_A_BLOCK = 1 / 20
"""Part of the text that one block has at most, where sections can be told apart."""
HARDLY: Final = 0.005
"""A change below half a percent is called none, however sure it is."""
_TAIL = 0.025
_AT_ONCE = 4_000_000

Values = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


Claim = Literal["better", "worse", "hardly", "unsure", "too little"]


def claim_of(change: float, low: float | None, high: float | None) -> Claim:
    """Return what may be said of a change in bits per byte.

    Args:
        change: as a part of what was before.
        low, high: ends of its interval in any unit; None where there is too little text to tell.
    """
    if low is None or high is None:
        return "too little"
    if low <= 0 <= high:
        return "unsure"
    if abs(change) < HARDLY:
        return "hardly"
    return "better" if change < 0 else "worse"


@dataclass(frozen=True)
class Difference:
    """A model's bits per byte less the base's, negative where the model is better.

    Attributes:
        value: over all documents.
        low, high: ends of the 95 % interval; None where there is too little text to tell.
        documents: how many.
        better: documents that the model finds likelier than the base does.
        claim: what may be said of it.
    """

    value: float
    low: float | None
    high: float | None
    documents: int
    better: int
    claim: Claim

    @property
    def sure(self) -> bool:
        """Return whether the interval leaves out zero."""
        return self.claim not in ("unsure", "too little")


@dataclass(frozen=True)
class Change:
    """How bits per byte changed, as a part of what they were: -0.1 is a tenth less.

    Attributes:
        value: over all text.
        low, high: ends of the 95 % interval; None where there is too little text to tell.
        documents: that were measured.
    """

    value: float
    low: float | None
    high: float | None
    documents: int


def paired_difference(
    nats: Values, base_nats: Values, utf8_bytes: Numbers, documents: Numbers
) -> Difference:
    """Compare two models on the same sections of documents.

    Args:
        nats: of each section under the model, [sections], those of one document behind one another.
        base_nats: the same under the base.
        utf8_bytes: of each section.
        documents: which one each section is of.
    """
    gain = (nats - base_nats) / math.log(2)
    total = float(base_nats.sum())
    by_document = np.bincount(np.unique(documents, return_inverse=True)[1], weights=gain)
    low, high = _interval(gain, utf8_bytes, utf8_bytes, documents)
    change = float((nats - base_nats).sum() / total) if total > 0 else 0.0
    return Difference(
        value=float(gain.sum() / utf8_bytes.sum()),
        low=low,
        high=high,
        documents=len(by_document),
        better=int((by_document < 0).sum()),
        claim=claim_of(change, low, high),
    )


def relative_change(
    nats: Values, nats_before: Values, utf8_bytes: Numbers, documents: Numbers
) -> Change | None:
    """Compare two evaluations of the same sections of documents; None where that is no number.

    Args:
        nats: of each section now, [sections], those of one document behind one another.
        nats_before: the same before.
        utf8_bytes: of each section.
        documents: which one each section is of.
    """
    if not len(nats) or not np.isfinite([*nats, *nats_before]).all() or nats_before.sum() <= 0:
        return None
    gain = nats - nats_before
    low, high = _interval(gain, nats_before, utf8_bytes, documents)
    value = float(gain.sum() / nats_before.sum())
    return Change(value, low, high, len(np.unique(documents)))


def _interval(
    gain: Values, parts: Values | Numbers, utf8_bytes: Numbers, documents: Numbers
) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of the 95 % interval of sum(gain) / sum(parts); None with too little text.

    Args:
        gain, parts: of each section.
    """
    if not len(gain) or not np.isfinite(gain).all():
        return None, None
    blocks = blocks_of(documents, utf8_bytes)
    sums = [np.bincount(blocks, weights=one) for one in (gain, parts, utf8_bytes)]
    gains, whole, size = (np.asarray(one, dtype=np.float64) for one in sums)
    # So many equal blocks would leave as much to chance as these do.
    effective = float(size.sum() ** 2 / (size**2).sum())
    if effective < FEWEST_BLOCKS:
        return None, None
    tail = _expanded_tail(effective)
    low, high = np.quantile(_draws(gains, whole), (tail, 1 - tail))
    return float(low), float(high)


def blocks_of(documents: Numbers, utf8_bytes: Numbers) -> Numbers:
    """Return the number the blocks that sections are drawn in: [sections], rising from 0.

    A document is one block, or, where it holds too much of the text, several of about equal size.
    """
    if not len(documents):
        return np.zeros(0, dtype=np.int64)
    most = max(1.0, float(utf8_bytes.sum()) * MOST_OF_A_BLOCK)
    starts = np.flatnonzero(np.diff(documents, prepend=documents[0] - 1))
    found = np.empty(len(documents), dtype=np.int64)
    begun = 0
    for start, end in zip(starts, [*starts[1:], len(documents)], strict=True):
        sections = int(end - start)
        pieces = min(sections, math.ceil(float(utf8_bytes[start:end].sum()) / most))
        found[start:end] = begun + np.arange(sections) * pieces // sections
        begun += pieces
    return found


def _draws(gain: Values, size: Values) -> Values:
    """The difference under each of `DRAWS` draws; the same ones every time."""
    random = np.random.default_rng(0)
    count = len(gain)
    found = np.empty(DRAWS)
    step = max(1, _AT_ONCE // count)
    for start in range(0, DRAWS, step):
        part = slice(start, min(DRAWS, start + step))
        chosen = random.integers(0, count, (part.stop - part.start, count))
        found[part] = gain[chosen].sum(axis=1) / size[chosen].sum(axis=1)
    return found


def _expanded_tail(count: float) -> float:
    """The quantile that stands for 2.5 % where so few blocks are drawn."""
    normal = NormalDist()
    z, free = normal.inv_cdf(1 - _TAIL), count - 1
    # Student's quantile by its expansion (Abramowitz and Stegun 26.7.5), right to 0.2 % from here.
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return normal.cdf(-student * math.sqrt(count / free))


@dataclass(frozen=True)
class Estimate:
    """A mean over independent cases, such as questions or answers.

    Attributes:
        value: the mean; for a share, the part of the cases that have the property.
        low, high: ends of its 95 % interval.
        count: cases.
    """

    value: float
    low: float
    high: float
    count: int


def share_of(cases: Sequence[bool]) -> Estimate | None:
    """Return the share of cases that are true with its interval; None without cases.

    By Wilson's score (1927), which holds where all or none are true, too.
    """
    count = len(cases)
    if not count:
        return None
    z, value = NormalDist().inv_cdf(1 - _TAIL), sum(cases) / count
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(value * (1 - value) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    # Without the rounding of a share of 0 or 1, which its interval holds.
    return Estimate(
        value, max(0.0, min(value, middle - half)), min(1.0, max(value, middle + half)), count
    )


def mean_of(values: Sequence[float]) -> Estimate | None:
    """Return a mean with its interval by the bootstrap over cases; None without cases."""
    if not len(values):
        return None
    found = np.asarray(values, dtype=np.float64)
    draws = _draws(found, np.ones(len(found)))
    tail = _expanded_tail(len(found)) if len(found) > 1 else _TAIL
    low, high = np.quantile(draws, (tail, 1 - tail))
    return Estimate(float(found.mean()), float(low), float(high), len(found))


def paired_share_interval(gained: int, lost: int, count: int) -> tuple[float, float] | None:
    """Return the ends of the 95 % interval of a change of a share, asked of the same things twice.

    The adjusted interval of Bonett and Price (2012), which holds for few answers, too.

    Args:
        gained: right the second time alone.
        lost: right the first time alone.
        count: all.
    """
    if not count:
        return None
    z = NormalDist().inv_cdf(1 - _TAIL)
    one, other = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = z * math.sqrt((one + other - (one - other) ** 2) / (count + 2))
    return max(-1.0, one - other - half), min(1.0, one - other + half)
