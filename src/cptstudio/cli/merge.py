"""`cpt-studio merge`: weighted sums of a run's models, measured, and one of them saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cptstudio.cli.common import JsonOption, WorkspaceOption, console
from cptstudio.cli.measured import FastBlasOption, SaveMergedOption, bits_table, corpus_of
from cptstudio.cli.programs import run_reported
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import number, whole
from cptstudio.errors import UserError
from cptstudio.evaluation.merging import SHARES, merge_request
from cptstudio.evaluation.model_requests import HeldOutText
from cptstudio.evaluation.programs import MERGE
from cptstudio.evaluation.references import resolve_reference
from cptstudio.validation import checked
from cptstudio.workspace import Workspace, check_new_name


@with_field_options(HeldOutText, flags={"side": "--split"})
def merge(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, or one of its checkpoints as RUN@best or RUN@200."
        ),
    ],
    shares: Annotated[
        list[float] | None,
        number(
            "--at",
            metavar="A",
            help="Mix ratio A in base + A * (trained - base): 0 is the base, 1 the trained "
            "model; repeat for more.",
            show_default="0, 0.25, 0.5, 0.75, 1",
        ),
    ] = None,
    last: Annotated[
        int | None,
        whole("--average", metavar="N", least=2, help="Average the last N checkpoints."),
    ] = None,
    instruct: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Instruct model of the same base: its difference from the base, times --at, "
            "is added (Chat Vector, arXiv 2310.04799).",
        ),
    ] = None,
    corpora: Annotated[
        list[str] | None,
        typer.Option("--corpus", "-c", help="Corpus to evaluate each merge on; repeat for more."),
    ] = None,
    save: SaveMergedOption = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Merge a trained model with its base, and measure gain and forgetting.

    A mix of base and trained model often keeps most of the gain and forgets less (WiSE-FT,
    arXiv 2109.01903). Evaluate several mix ratios, then save one as a model that mlx_lm loads.

    Examples:
    - `cpt-studio merge first -c python-source -c python-documentation`

    - `cpt-studio merge first --at 0.75 --save first-merged`
    """
    place = Workspace(workspace)
    measured = checked(HeldOutText, **given)
    reference = resolve_reference(run, place)
    if reference.run is None:
        raise UserError(
            f"{reference.label!r} is a base model. Choose a run, such as RUN or RUN@best."
        )
    if last is not None and (instruct is not None or shares):
        raise UserError("--average can't be combined with --at or --instruct.")
    if save is None and not corpora:
        raise UserError(
            "Choose corpora to evaluate on (--corpus), a name to save under (--save), or both."
        )
    target = place.base_model(save) if save is not None else None
    if target is not None:
        check_new_name(target, "model")
    request = merge_request(
        reference,
        reference.run,
        shares or ([1.0] if instruct else SHARES),
        last=last,
        instruct=resolve_reference(instruct, place) if instruct is not None else None,
        corpora=[corpus_of(name, place) for name in corpora or ()],
        side=measured.side,
        max_bytes=measured.max_bytes,
        save=target,
    )

    def show(result: dict[str, Any]) -> None:
        title = "Bits per byte on held-out text (lower is better)"
        if corpora:
            console.print(bits_table(title, "Merged model", result["points"], corpora))

    run_reported(MERGE, request, place, show, fast_blas=fast_blas, as_json=as_json)
    if target is not None and not as_json:
        console.print(f"Saved to {target}.")
