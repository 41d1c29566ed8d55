"""Options and output shared by the commands: workspace, plain text, JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from cptstudio.durable import dump_json
from cptstudio.errors import UserError
from cptstudio.metrics import TEXTS
from cptstudio.setting_flags import option_name
from cptstudio.terminal import CONTROL, visible
from cptstudio.training.fitting import Fit
from cptstudio.workspace import Workspace


def _workspace_option(check: Callable[[Path], Path] | None) -> Any:
    return typer.Option(
        "--workspace",
        "-w",
        metavar="DIR",
        envvar="CPT_STUDIO_WORKSPACE",
        file_okay=False,
        help="The workspace folder.",
        show_default="current folder",
        callback=check,
    )


def _that_is_there(path: Path) -> Path:
    root = Workspace(path).root
    if not root.exists():
        raise UserError(
            f"There is no workspace at {root}: the folder does not exist. Set --workspace "
            "to an existing one, or create a demo workspace with `cpt-studio demo "
            f"{path}`."
        )
    return path


WorkspaceOption = Annotated[Path, _workspace_option(_that_is_there)]
NewWorkspaceOption = Annotated[Path, _workspace_option(None)]
"""Of commands that may be the first one in a workspace."""
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text, for scripts.")
]


class _SafeConsole(Console):
    """A console on which only our own styles and bars command the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield everything that is shown comes through here, the parts of a table or a bar, too."""
        for segment in super().render(renderable, options):
            if segment.control or CONTROL.search(segment.text) is None:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


console = _SafeConsole(highlight=False)
errors = _SafeConsole(stderr=True, highlight=False)


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")]


def with_former(names: Mapping[str, str]) -> dict[str, Any]:
    """Return context settings of a command that still takes the former names of some options.

    Args:
        names: former names and those of today, both without leading hyphens. They are not listed
            in the help.
    """

    def named(given: str) -> str:
        return names.get(given) or option_name(given)

    return {"token_normalize_func": named}


def confirm(question: str, yes: bool) -> None:
    """Ask for confirmation on the terminal; without a terminal, --yes is required.

    Raises:
        UserError: not confirmed.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} This is not an interactive terminal: pass --yes to confirm.")
    if not typer.confirm(visible(question), err=True):
        raise UserError("Canceled. Nothing was changed.")


def confirm_fit(fit: Fit | None, yes: bool) -> None:
    """Ask for confirmation if a run needs more memory or disk space than is available.

    Raises:
        UserError: not confirmed.
    """
    if fit is not None and not fit.fits:
        confirm(f"{' '.join(fit.sentences())} Start anyway?", yes)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(dump_json(value, indent=2) + "\n")


def number(value: Any, form: str) -> str:
    """Return a value in a format; "-" if it is None, its name if it is not finite."""
    if isinstance(value, int | float):
        return format(value, form)
    return "-" if value is None else escape(str(value))


def metric_text(figures: dict[str, Any], name: str) -> str:
    """Return a metric's value, formatted as its record in `cptstudio.metrics` says."""
    return number(figures.get(name), TEXTS[name])


def moment(seconds: float) -> str:
    """Return a Unix time as local date and time; "-" if it is 0 or implausible."""
    if not 0 < seconds < time.time() + 1e9:
        return "-"
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
