"""What is shown of measurements: which documents changed most."""

from __future__ import annotations

import io
import math
import re

import pytest
from rich.console import Console

from cptstudio.cli.measured import bits_table
from cptstudio.evaluation.documents import DocumentSet
from cptstudio.evaluation.figures import changed_most, summary
from cptstudio.evaluation.texts import Text


def measured(nats: list[float | str]) -> dict:
    names = [bytes([number] * 16).hex() for number in range(len(nats))]
    return {
        "documents": names,
        "nats": nats,
        "tokens": [2] * len(nats),
        "bytes": [10] * len(nats),
    }


def texts(count: int) -> DocumentSet:
    made = [Text(f"notes:{number}", "0123456789", bytes([number] * 16)) for number in range(count)]
    return DocumentSet("notes", None, tuple(made), "")


def test_the_largest_changes_come_first_and_what_is_not_finite_in_neither() -> None:
    base = measured([10.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    other = measured([9.0, 4.0, 10.0, 11.0, 15.0, "NaN"])
    found = changed_most(texts(6), other, base)
    assert [one["label"] for one in found["improved"]] == ["notes:1", "notes:0"]
    assert [one["label"] for one in found["worsened"]] == ["notes:4", "notes:3"]
    first = found["improved"][0]
    assert first["bits_per_byte"] == pytest.approx(4 / math.log(2) / 10)
    assert first["base_bits_per_byte"] == pytest.approx(1 / math.log(2))
    assert (first["document"], first["bytes"]) == ("01" * 16, 10)


def test_documents_that_are_left_out_are_not_among_them() -> None:
    base, other = measured([10.0] * 30), measured([10.0 - number for number in range(30)])
    found = changed_most(texts(30), other, base, {bytes([29] * 16).hex()})
    assert [one["label"] for one in found["improved"]] == [
        f"notes:{number}" for number in range(28, 18, -1)
    ]
    assert found["worsened"] == []
    figures = summary(other, base, {bytes([29] * 16).hex()})
    assert figures["documents"] == 29
    assert figures["difference"]["documents"] == 29


def test_tables_tell_the_difference_from_their_first_row() -> None:
    base, other = measured([10.0, 12.0, 11.0] * 4), measured([9.0, 12.0, 10.0] * 4)
    few = (measured([10.0, 12.0, 11.0]), measured([9.0, 12.0, 10.0]))
    entries = [
        {"label": label, "corpora": {"notes": summary(of, base)}}
        for label, of in (("base", base), ("merged", other))
    ]
    console = Console(file=io.StringIO(), width=100)
    console.print(bits_table("Bits per byte", "Point", entries, ["notes"]))
    shown = console.file.getvalue()
    assert "1.5870" in shown
    assert "1.4908 (-6.1 %)" in shown
    assert re.search(r"-0\.1\d+ to -0\.0\d+\*", shown)
    entries[1]["corpora"]["notes"] = summary(few[1], few[0])
    console.print(bits_table("Bits per byte", "Point", entries, ["notes"]))
    assert "too little text to be sure" in console.file.getvalue()
