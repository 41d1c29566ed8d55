"""How sure a difference between two models is: the paired bootstrap over documents.

Both models are measured on the same documents, so documents are drawn with replacement and the
difference of the two models is formed anew for each draw (Efron and Tibshirani 1993, chapter 13;
Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation"). Documents are
what is drawn because tokens of one document depend on one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DRAWS = 2_000
_AT_ONCE = 4_000_000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A model's bits per byte less the base's, negative where the model is better.

    Attributes:
        value: over all documents.
        low, high: ends of the 95 % interval; None where one document leaves nothing to draw.
        documents: how many.
        better: documents that the model finds likelier than the base does.
    """

    value: float
    low: float | None
    high: float | None
    documents: int
    better: int

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def paired_difference(nats: Values, base_nats: Values, utf8_bytes: Values) -> Difference:
    """Compare two models on the same documents.

    Args:
        nats: of each document under the model, [documents].
        base_nats: the same under the base.
        utf8_bytes: of each document.
    """
    gain = (nats - base_nats) / math.log(2)
    size = np.asarray(utf8_bytes, dtype=np.float64)
    value = float(gain.sum() / size.sum())
    better = int((gain < 0).sum())
    if len(gain) < 2 or not np.isfinite(gain).all():
        return Difference(value, None, None, len(gain), better)
    low, high = np.quantile(_draws(gain, size), (0.025, 0.975))
    return Difference(value, float(low), float(high), len(gain), better)


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
