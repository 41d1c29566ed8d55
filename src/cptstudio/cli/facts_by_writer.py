"""The part of `cpt-studio facts make` in which a model writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape

from cptstudio.child_limits import for_models
from cptstudio.cli.common import confirm, console, print_json
from cptstudio.cli.programs import run_program
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.facts.choices import ONLY_CLOZE, WriteChoices
from cptstudio.facts.programs import MAKE
from cptstudio.validation import checked
from cptstudio.workspace import Workspace
from cptstudio.writers.choice import WriterChoice, WriterKind


def refuse_fields(given: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    """Refuse flags that say nothing about what is made.

    Raises:
        UserError: names the flag, and what it is for.
    """
    for name in names:
        if name in given:
            raise UserError(f"--{name.replace('_', '-')} is for {what}.")


def make_by_writer(
    request: dict[str, Any],
    writer: str,
    endpoint: str | None,
    yes: bool,
    given: dict[str, Any],
    fast_blas: bool,
    as_json: bool,
) -> None:
    """Let a writer make facts; an endpoint only after the user confirmed what is sent.

    Args:
        request: has "workspace", "ledger" and "corpus".

    Raises:
        UserError: it cannot be made.
    """
    # What writes takes long to import, and few commands write.
    from cptstudio.facts.by_writer import FactOrder

    refuse_fields(given, ONLY_CLOZE, "cloze facts: leave out --writer")
    kind: WriterKind = "model" if endpoint is None else "endpoint"
    choice = WriterChoice(kind=kind, model=writer, endpoint=endpoint)
    choices = checked(WriteChoices, **given)
    place = Workspace(Path(request["workspace"]))
    FactOrder(place, request["ledger"], request["corpus"], choices, choice).check()
    request |= {
        "choices": choices.model_dump(mode="json"),
        "writer": choice.model_dump(mode="json"),
        "fast_blas": fast_blas,
    }
    if kind == "endpoint" and not yes:
        plan = run_program(MAKE, request | {"do": "plan"}, quiet=as_json)
        cost = plan["cost"]
        costs = (
            "Cost: unknown. Give prices with `cpt-studio remote add`."
            if cost is None
            else f"It will cost about {cost:.4g}."
        )
        confirm(
            f"Send {plan['passages'] - plan['done']:,} passages to {plan['sent_to']} (about "
            f"{plan['tokens_in']:,} tokens in, {plan['tokens_out']:,} out)? {costs}",
            yes,
        )
    made = run_program(MAKE, request, quiet=as_json, limits=for_models())
    if as_json:
        print_json(made)
    else:
        _show_written(made)


def _show_written(made: dict[str, Any]) -> None:
    console.print(
        f"{escape(made['writer'])} wrote {made['written']:,} facts of {made['passages']:,} "
        f"passages; {made['made']:,} passed the checks, {made['new']:,} are new in the ledger "
        f"{made['ledger']}.",
        soft_wrap=True,
    )
    for reason, count in made["dropped"].items():
        console.print(f"  dropped {count:,}: {reason}")
    about = "About " if made["estimated"] else ""
    cost = "" if made["cost"] is None else f", cost {made['cost']:.4g}"
    console.print(
        f"{about}{made['tokens_in']:,} tokens in, {made['tokens_out']:,} out{cost}, "
        f"{duration(made['seconds'])} of writing."
    )
    if made["missing"]:
        console.print(
            f"{made['missing']:,} passages are not written yet ({made['stopped']}): repeat the "
            "command to go on.",
            soft_wrap=True,
        )
