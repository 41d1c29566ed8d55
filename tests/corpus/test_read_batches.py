"""What readers hand over through files: the same as was written, or told to be damaged."""

from __future__ import annotations

import io
import random

import numpy as np

from cptstudio.corpus.manifest import SourceRecord
from cptstudio.corpus.read_batches import (
    Batch,
    BatchBuilder,
    BatchFile,
    DamagedBatchError,
    read_batches,
)


def written() -> tuple[list[Batch | SourceRecord], bytes]:
    builder, made = BatchBuilder(), list[Batch | SourceRecord]()
    out = io.BytesIO()
    file = BatchFile(out)
    for source in range(3):
        for member in range(4):
            start = builder.position
            words = " ".join(f"word{source}{member}{n}" for n in range(40 * member))
            builder.write(words.encode())
            if member == 2:
                builder.forget()
            else:
                builder.end(start, bytes([source, member] * 8), source, member, f"s/{source}")
        if source:
            batch = builder.take()
            assert batch is not None
            made.append(batch)
        made.append(SourceRecord(label=f"s/{source}", file="s", size=1, modified_ns=1))
    for one in made:
        file.write(one)
    return made, out.getvalue()


def test_batches_come_out_as_they_went_in() -> None:
    made, data = written()
    found = list(read_batches(io.BytesIO(data)))
    assert len(found) == len(made)
    for one, other in zip(made, found, strict=True):
        if isinstance(one, SourceRecord):
            assert one == other
            continue
        assert isinstance(other, Batch)
        assert (one.text, one.records.tobytes()) == (other.text, other.records.tobytes())
        assert np.array_equal(one.signatures.bins, other.signatures.bins)
        assert np.array_equal(one.signatures.numbers, other.signatures.numbers)
        assert np.array_equal(one.inspected.letters, other.inspected.letters)
        assert one.inspected.findings == other.inspected.findings


def test_damaged_batches_are_told_as_such() -> None:
    _, data = written()
    dice = random.Random(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        cut = bytes(damaged[: dice.choice((len(data), dice.randrange(len(data))))])
        try:
            list(read_batches(io.BytesIO(cut)))
        except DamagedBatchError:
            refused += 1
    assert refused > 150
