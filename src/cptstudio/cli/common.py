"""What the commands share: the workspace option, plain output and JSON output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
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
        show_default="the current folder",
        callback=check,
    )


def _that_is_there(path: Path) -> Path:
    root = Workspace(path).root
    if not root.exists():
        raise UserError(
            f"There is no workspace {root}: the folder does not exist. Give the folder of one "
            f"with --workspace, or make one: `cpt-studio demo {path}`."
        )
    return path


WorkspaceOption = Annotated[Path, _workspace_option(_that_is_there)]
NewWorkspaceOption = Annotated[Path, _workspace_option(None)]
"""Of commands that may be the first one in a workspace."""
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text, for scripts.")
]


class _SafeConsole(Console):
    """A console on which only our own styles and bars command the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Everything that is shown comes through here, the parts of a table or a bar, too."""
        for segment in super().render(renderable, options):
            if segment.control or CONTROL.search(segment.text) is None:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)


console = _SafeConsole(highlight=False)
errors = _SafeConsole(stderr=True, highlight=False)


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def confirm(question: str, yes: bool) -> None:
    """Ask the one at the terminal; where nobody is there, --yes has to say it.

    Raises:
        UserError: not confirmed.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{question} There is no terminal to ask on; confirm with --yes.")
    if not typer.confirm(visible(question), err=True):
        raise UserError("Not confirmed: nothing was done.")


def confirm_fit(fit: Fit | None, yes: bool) -> None:
    """Ask before what needs more memory or disk than there is.

    Raises:
        UserError: not confirmed.
    """
    if fit is not None and not fit.fits:
        confirm(f"{' '.join(fit.sentences())} Start it anyway?", yes)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(dump_json(value, indent=2) + "\n")


def number(value: Any, form: str) -> str:
    """A measured value in a format, "-" where it is absent, a non-finite one by its name."""
    if isinstance(value, int | float):
        return format(value, form)
    return "-" if value is None else escape(str(value))


def metric_text(figures: dict[str, Any], name: str) -> str:
    """A metric among figures, as its record in `cptstudio.metrics` says that it is written."""
    return number(figures.get(name), TEXTS[name])


def moment(seconds: float) -> str:
    """A Unix time as local date and time; "-" where it is 0 or no sensible time."""
    if not 0 < seconds < time.time() + 1e9:
        return "-"
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
