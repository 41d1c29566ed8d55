"""Options of what a session of a run does otherwise, shared by both commands that resume."""

from __future__ import annotations

from typing import Annotated

import typer

from cptstudio.runs.launching import MOST_RANKS
from cptstudio.session_settings import SessionSettings, parse_session

_PANEL = "Changes for this session"

LengthOption = Annotated[
    str | None,
    typer.Option(
        "--length",
        metavar="LENGTH",
        help="Train longer: new total length, such as '2 epochs'. If the learning rate schedule "
        "depends on the length, fork the run instead.",
        show_default="unchanged",
        rich_help_panel=_PANEL,
    ),
]
RowsOption = Annotated[
    str | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        help="Sequences per micro-batch; gradient accumulation adapts, so updates stay the same.",
        show_default="unchanged",
        rich_help_panel=_PANEL,
    ),
]
AccumulationOption = Annotated[
    str | None,
    typer.Option(
        "--gradient-accumulation-steps",
        metavar="N",
        help="Micro-batches per update; the batch size adapts.",
        show_default="unchanged",
        rich_help_panel=_PANEL,
    ),
]
CheckpointingOption = Annotated[
    bool | None,
    typer.Option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        help="Recompute activations instead of storing them.",
        show_default="unchanged",
        rich_help_panel=_PANEL,
    ),
]

RanksOption = Annotated[
    int,
    typer.Option(
        "--ranks",
        metavar="N",
        min=1,
        max=MOST_RANKS,
        help="Processes on this machine that share each update's rows. Each has the whole model.",
    ),
]


def given_session(
    length: str | None, rows: str | None, accumulation: str | None, checkpointing: bool | None
) -> SessionSettings:
    """Return the session's settings that were given.

    Raises:
        UserError: it cannot be used.
    """
    return parse_session(
        {
            "length": length,
            "batch_size": rows,
            "gradient_accumulation_steps": accumulation,
            "gradient_checkpointing": checkpointing,
        }
    )
