"""`cpt-studio merge`: weighted sums of a run's models, measured, and one of them saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio import run_files
from cptstudio.cli.common import JsonOption, WorkspaceOption, console, print_json
from cptstudio.cli.measured import FastBlasOption, SideOption, check_side, corpus_of
from cptstudio.cli.programs import run_reported
from cptstudio.cli.typed_options import number, whole
from cptstudio.errors import UserError
from cptstudio.testing.merging import Point, average, back_to_base, instruct_delta, roles_in
from cptstudio.testing.programs import MERGE
from cptstudio.testing.references import ModelReference, resolve_reference
from cptstudio.workspace import Workspace, check_new_name

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def merge(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run, RUN@best or RUN@200 for a checkpoint.")
    ],
    shares: Annotated[
        list[float] | None,
        number(
            "--at",
            metavar="A",
            help="Base + A (trained - base), for each A; repeat for more.",
            show_default="0, 0.25, 0.5, 0.75, 1",
        ),
    ] = None,
    last: Annotated[
        int | None,
        whole("--average", metavar="N", least=2, help="The mean of the last N checkpoints."),
    ] = None,
    instruct: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Add what this instruct model has over the same base, times each --at "
            "(Chat Vector, arXiv 2310.04799).",
        ),
    ] = None,
    corpora: Annotated[
        list[str] | None,
        typer.Option("--corpus", "-c", help="Measure each point on it; repeat for more."),
    ] = None,
    side: SideOption = "validation",
    max_bytes: Annotated[int, whole(least=1000, help="Held-out text of a corpus.")] = 400_000,
    save: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Save the point (the only one) under models/base/NAME."),
    ] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Merge a trained model back towards its base, and see what is kept and what is forgotten.

    A model between base and trained often keeps most of the gain and forgets less (WiSE-FT,
    arXiv 2109.01903). Measure several points, then save one as a model that mlx_lm loads.

    Examples:
    - `cpt-studio merge first -c python-source -c python-documentation`

    - `cpt-studio merge first --at 0.75 --save first-merged`
    """
    place = Workspace(workspace)
    check_side(side)
    reference = resolve_reference(run, place)
    points = _points(reference, shares, last, instruct, place)
    if save is not None and len(points) != 1:
        raise UserError(f"Only one point can be saved: choose one of the {len(points)} with --at.")
    if save is None and not corpora:
        raise UserError("Say what to measure the points on (--corpus), or which to --save.")
    target = place.base_model(save) if save is not None else None
    if target is not None:
        check_new_name(target, "model")
    request = {
        "workspace": place.root,
        "title": _title(reference, last, instruct),
        "points": [point.request() for point in points],
        "corpora": [corpus_of(name, place) for name in corpora or ()],
        "roles": roles_in(reference.run, corpora or ()) if reference.run else {},
        "side": side,
        "max_bytes": max_bytes,
        "context_length": None,
        "save": {"point": points[0].label, "folder": target} if target else None,
        "fast_blas": fast_blas,
    }
    report, result = run_reported(MERGE, request, place, quiet=as_json)
    if as_json:
        print_json({"report": report, **result})
        return
    if corpora:
        console.print(_table(result, corpora))
    console.print(f"Kept as report {report}.")
    if target is not None:
        console.print(f"Saved {target}.")


def _title(reference: ModelReference, last: int | None, instruct: str | None) -> str:
    if last is not None:
        return f"Mean of the last {last} checkpoints of {reference.label}"
    if instruct is not None:
        return f"{reference.label} with what {instruct} has over its base"
    return f"{reference.label} merged back to its base"


def _points(
    reference: ModelReference,
    shares: list[float] | None,
    last: int | None,
    instruct: str | None,
    place: Workspace,
) -> list[Point]:
    if reference.run is None:
        raise UserError(
            f"{reference.label!r} is a base model: give a run, such as RUN or RUN@best."
        )
    base = Path(run_files.read_config(reference.run).model_path)
    if last is not None:
        if instruct is not None or shares:
            raise UserError("--average goes neither with --at nor with --instruct.")
        return [average(reference.run, last)]
    if instruct is not None:
        other = resolve_reference(instruct, place)
        return instruct_delta(reference, base, other.model, shares or [1.0])
    return back_to_base(reference, base, shares or list(_SHARES))


def _table(result: dict[str, Any], corpora: list[str]) -> Table:
    table = Table(title="Bits per byte on held-out text (lower is better)")
    table.add_column("Point")
    for name in corpora:
        table.add_column(escape(name), justify="right")
    for point in result["points"]:
        cells = []
        for name in corpora:
            figures = point["corpora"][name]
            change = figures.get("difference")
            cell = f"{figures['bits_per_byte']:.4f}"
            if change is not None and change["low"] is not None:
                star = "*" if change["sure"] else ""
                cell += f"  ({change['low']:+.4f} to {change['high']:+.4f}{star})"
            cells.append(cell)
        table.add_row(escape(point["label"]), *cells)
    return table
