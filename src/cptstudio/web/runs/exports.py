"""A run's current rows as a file to take away, written page by page."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from typing import Any, Final

from cptstudio import metrics
from cptstudio.durable import parse_json
from cptstudio.web.runs.run_library import RunLibrary

_PAGE: Final = 2000


def as_json(library: RunLibrary, run: str) -> Iterator[str]:
    """Yield all rows as one JSON array, a row a line."""
    separator = "[\n"
    for texts in _batches(library.lines(run)):
        yield separator + ",\n".join(texts)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def as_csv(library: RunLibrary, run: str) -> Iterator[str]:
    """Yield all rows as a table; corpora of evaluations have columns of their own.

    Only numbers and plain words are in it: text of documents or guards, which a spreadsheet
    might take for a formula, is left out.
    """
    names = _corpora(library, run)
    measured = [metric.name for metric in metrics.MEASURES]
    numbers = [metric.name for metric in (*metrics.TRAINING, *metrics.EVALUATION)]
    fixed = ["seq", "session", "kind", *numbers]
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow([*fixed, *(_harmless(f"{name}.{one}") for name in names for one in measured)])
    for line in library.lines(run):
        row = parse_json(line)
        corpora = row.get("corpora")
        values = [_cell(row.get(name)) for name in fixed]
        for name in names:
            found = corpora.get(name) if isinstance(corpora, dict) else None
            found = found if isinstance(found, dict) else {}
            values += [_cell(found.get(one)) for one in measured]
        writer.writerow(values)
        if output.tell() > 1 << 16:
            yield output.getvalue()
            output.seek(0)
            output.truncate()
    yield output.getvalue()


def _batches(lines: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(lines, _PAGE)):
        yield batch


def _corpora(library: RunLibrary, run: str) -> list[str]:
    columns = library.columns(run)
    with columns.lock:
        found = [row.get("corpora") for row in columns.evaluations()]
    return list(dict.fromkeys(str(name) for one in found if isinstance(one, dict) for name in one))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    words = ("NaN", "Infinity", "-Infinity", "train", "evaluation")
    return value if isinstance(value, str) and value in words else ""


def _harmless(name: str) -> str:
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
