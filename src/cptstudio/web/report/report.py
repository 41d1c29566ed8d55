"""A report to keep: one HTML file of a run, or of several beside one another.

It needs nothing: no server, no network, no script, no font. A policy in its head forbids all of
these, too, so that a name or a sample that carries markup can do nothing, should it ever get out of
its quotes.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from cptstudio import __version__, metrics
from cptstudio.run_rows import finite
from cptstudio.terminal import visible
from cptstudio.web.report.charts import COLORS, Line, Picture, draw, number
from cptstudio.web.report.contents import contents_of, curves_of, lines_of, moment
from cptstudio.web.runs.comparison import Comparison, Delta, compare_runs
from cptstudio.web.runs.run_library import RunLibrary

_FOLDER: Final = Path(__file__).parent
_BYTES: Final = 1e9


def report_of(library: RunLibrary, ids: Sequence[str]) -> str:
    """Return the report of one run, or of a comparison of several, as HTML.

    Raises:
        NotFound: there is no such run.
        Problem: there are too many.
    """
    ids = list(dict.fromkeys(ids))
    runs = [contents_of(library, id) for id in ids]
    compared = compare_runs(library, ids) if len(ids) > 1 else None
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return str(
        _template().render(
            title=" and ".join(run.name for run in runs) if len(runs) < 3 else f"{len(runs)} runs",
            runs=runs,
            comparison=None if compared is None else _comparison(library, compared),
            style=style,
            digest=digest,
            made=moment(time.time()),
            version=__version__,
        )
    )


def file_name(ids: Sequence[str]) -> str:
    """Return a name for the file of a report, of letters that any system takes."""
    names = ["".join(c if c.isascii() and c.isalnum() else "-" for c in id) for id in ids]
    return f"{'-'.join(names)[:80].strip('-') or 'runs'}-report.html"


@cache
def _template() -> Any:
    # Of Flask's own dependencies; loaded by the first report.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # No text turns the direction of what follows it, or holds what no file may hold.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    return environment.get_template("report.html")


def _comparison(library: RunLibrary, compared: Comparison) -> dict[str, Any]:
    names = {run.id: run.name or run.id for run in compared.runs}
    heads = [
        f"{names[run.id]} (baseline)" if run.id == compared.baseline else names[run.id]
        for run in compared.runs
    ]
    return {
        "heads": heads,
        "baseline": names.get(compared.baseline or "", ""),
        "runs": [
            {
                "name": head,
                "color": at % COLORS + 1,
                "verdict": run.verdict,
                "against": compared.against.get(run.id),
            }
            for at, (run, head) in enumerate(zip(compared.runs, heads, strict=True))
        ],
        "charts": _charts(library, compared, heads),
        "deltas": [
            (
                f"{delta.title} ({delta.unit})" if delta.unit else delta.title,
                [_cell(delta, run.id, compared.baseline) for run in compared.runs],
            )
            for delta in compared.deltas
        ],
        "differences": [
            (one.setting, [_plain(one.values.get(run.id)) for run in compared.runs])
            for one in compared.differences
        ],
    }


def _charts(library: RunLibrary, compared: Comparison, heads: Sequence[str]) -> list[Picture]:
    curves = [curves_of(library, run.id) for run in compared.runs]
    found = []
    for metric in (*metrics.TRAINING, *metrics.EVALUATION):
        if "curve" not in metric.compared:
            continue
        lines: list[Line] = []
        for at, (one, head) in enumerate(zip(curves, heads, strict=True)):
            lines += lines_of(one, metric, at % COLORS + 1, head, raw=False)
        unit = f" ({metric.unit})" if metric.unit else ""
        picture = draw(f"{metric.title}{unit}", lines)
        if picture is not None:
            found.append(picture)
    return found


def _cell(delta: Delta, id: str, baseline: str | None) -> str:
    value = delta.values.get(id)
    if value is None:
        return "–"  # noqa: RUF001
    written = f"{value / _BYTES:,.2f} GB" if delta.format == "bytes" else number(value)
    before = finite(delta.baseline)
    if id == baseline or not before or delta.key.endswith(".change"):
        return written
    change = f"{value / before - 1:+.1%}"
    return written if change in ("+0.0%", "-0.0%") else f"{written} ({change})"


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)  # noqa: RUF001
