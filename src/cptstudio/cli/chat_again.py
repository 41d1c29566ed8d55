"""`cpt-studio chat-check` and `chat-again`: chat habits measured, and brought back after CPT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console
from cptstudio.cli.measured import (
    FastBlasOption,
    ModelsArgument,
    SaveMergedOption,
    bits_table,
    corpus_of,
    references_of,
)
from cptstudio.cli.programs import run_reported
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import number
from cptstudio.errors import UserError
from cptstudio.evaluation.chat_again import (
    STRENGTHS,
    ChatMeasured,
    again_request,
    check_request,
)
from cptstudio.evaluation.programs import CHAT
from cptstudio.evaluation.questions import read_questions
from cptstudio.evaluation.references import resolve_reference
from cptstudio.validation import checked
from cptstudio.workspace import Workspace, check_new_name

CorporaOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus", "-c", help="Corpus to measure bits per byte on, too; repeat for more."
    ),
]
QuestionsOption = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        metavar="FILE.jsonl",
        help="Questions to answer, too, as in `cpt-studio questions`.",
    ),
]
_SHARES = (
    ("stops", "Stops"),
    ("template", "Template kept"),
    ("repetition", "Repetition"),
    ("loops", "Loops"),
    ("instructions", "Instructions"),
)


@with_field_options(ChatMeasured, flags={"side": "--split"})
def check(
    models: ModelsArgument,
    corpora: CorporaOption = None,
    questions: QuestionsOption = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Measure whether models can chat: stop, keep their template, follow instructions.

    Models answer a built-in set of prompts, always with the most likely token. Code checks each
    answer, so the same model gets the same result every time.

    Example: `cpt-studio chat-check instruct first@last`
    """
    place = Workspace(workspace)
    request = check_request(
        references_of(models, place),
        checked(ChatMeasured, **given),
        [corpus_of(name, place) for name in corpora or ()],
    )
    _run(
        {**request, **_asked(questions)}, place, corpora or (), fast_blas=fast_blas, as_json=as_json
    )


@with_field_options(ChatMeasured, flags={"side": "--split"})
def again(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run, or one of its checkpoints as RUN@best or RUN@200."
        ),
    ],
    instruct: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Instruct model of the run's base model."),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Base model of the instruct model (default: what the run, or the first of the "
            "runs before it, was trained from).",
        ),
    ] = None,
    strengths: Annotated[
        list[float] | None,
        number(
            "--at",
            metavar="S",
            help="Strength S in trained + S * (instruct - base); repeat for more.",
            show_default=", ".join(f"{strength:g}" for strength in STRENGTHS),
        ),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="MODEL",
            help="Another model to compare, such as a checkpoint fine-tuned on conversations; "
            "repeat for more.",
        ),
    ] = None,
    corpora: CorporaOption = None,
    questions: QuestionsOption = None,
    save: SaveMergedOption = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Bring chat back after continued pre-training, and measure what it costs.

    Adds an instruct model's difference from its base to the trained model (Chat Vector,
    arXiv 2310.04799) at several strengths. Measures chat habits, and bits per byte of corpora.

    Examples:
    - `cpt-studio chat-again first --instruct instruct -c docs -c general`

    - `cpt-studio chat-again first --instruct instruct --at 1 --save first-chat`
    """
    place = Workspace(workspace)
    target = place.base_model(save) if save is not None else None
    if target is not None:
        check_new_name(target, "model")
    try:
        request = again_request(
            resolve_reference(run, place),
            resolve_reference(instruct, place),
            references_of(others or [], place),
            strengths or STRENGTHS,
            measured=checked(ChatMeasured, **given),
            corpora=[corpus_of(name, place) for name in corpora or ()],
            save=target,
            base=resolve_reference(base, place) if base is not None else None,
        )
    except UserError as error:
        if save is not None and len(strengths or STRENGTHS) != 1:
            raise UserError("Use --save with a single --at.") from None
        raise error
    _run(
        {**request, **_asked(questions)}, place, corpora or (), fast_blas=fast_blas, as_json=as_json
    )
    if target is not None and not as_json:
        console.print(f"Saved to {target}.")


def _asked(file: Path | None) -> dict[str, Any]:
    """What the program is asked of a file of questions, which is read here for its faults."""
    if file is None:
        return {}
    read_questions(file)
    return {"questions": {"file": file.absolute(), "name": str(file)}}


def _run(
    request: dict[str, Any],
    place: Workspace,
    corpora: Sequence[str],
    *,
    fast_blas: bool,
    as_json: bool,
) -> None:
    def show(result: dict[str, Any]) -> None:
        console.print(_table(result))
        if corpora:
            title = "Bits per byte on held-out text (lower is better)"
            console.print(bits_table(title, "Model", result["points"], list(corpora)))
        if result["suggested"] is not None:
            console.print(f"Suggested: {result['suggested']}", markup=False)

    run_reported(CHAT, request, place, show, fast_blas=fast_blas, as_json=as_json)


def _table(result: dict[str, Any]) -> Table:
    asked = [point for point in result["points"] if point["habits"] is not None]
    prompts = asked[0]["habits"]["stops"]["count"] if asked else 0
    table = Table(
        title=f"Chat habits: {prompts} prompts, at most {result['max_tokens']:,} tokens per answer"
    )
    table.add_column("Model")
    with_questions = any(point["questions"] is not None for point in asked)
    with_gain = any(point["gain_kept"] is not None for point in asked)
    further = [*(["Questions"] if with_questions else []), *(["Gain kept"] if with_gain else [])]
    for title in (*(title for _, title in _SHARES), *further):
        table.add_column(title, justify="right")
    for point in asked:
        cells = [_share(point["habits"][key]) for key, _ in _SHARES]
        if with_questions:
            cells.append(_share(point["questions"]))
        if with_gain:
            # Not "-0%".
            cells.append(f"{round(point['gain_kept'], 2) + 0.0:.0%}")
        table.add_row(escape(_name(point)), *cells)
    return table


def _name(point: dict[str, Any]) -> str:
    """What a row is called: the long label of a sum would leave no room for its figures."""
    if point["way"] == "difference":
        return f"trained + {point['share']:g} * difference"
    return f"{point['label']} ({point['way']})" if point["way"] != "model" else point["label"]


def _share(estimate: dict[str, Any] | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate['value']:.0%}\n{estimate['low']:.0%} to {estimate['high']:.0%}"
