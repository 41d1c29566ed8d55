"""Signatures of long documents: the same ones, in bounded memory, whatever came before."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from cptstudio.corpus.near_duplicates import NearDuplicateIndex, SignatureMaker

MEBIBYTE = 1 << 20
PART = b"".join(b"word%d other%d\n" % (n % 9973, n % 7919) for n in range(70_000))[:MEBIBYTE]


def feed(maker: SignatureMaker, number: int, parts: int) -> None:
    for _ in range(parts):
        maker.part(PART)
    maker.end(number)


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_long_document_after_short_ones_takes_no_more_memory(tmp_path: Path, before: int) -> None:
    maker = SignatureMaker()
    for number in range(before):
        maker.part(b"a few words that stand for a short document %d" % number)
        maker.end(number)
    tracemalloc.start()
    try:
        feed(maker, 10, parts=12)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 250 * MEBIBYTE
    feed(maker, 11, parts=12)
    index = NearDuplicateIndex(tmp_path / "signatures")
    index.add(maker.take(), 0)
    like = index.likeness(12, np.zeros(12, dtype=np.bool_))
    assert like.group[10:].tolist() == [10, 10]
    assert like.similarity[10:].tolist() == [1, 1]
