"""Numbers in options, read as the pages and the settings read them: 0,001 as 0.001, 1,000 not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import typer

from cptstudio.typed_numbers import AmbiguousNumberError, UnreadableNumberError, read_number
from cptstudio.validation import plain


def whole(
    *names: str, least: int | None = None, most: int | None = None, metavar: str = "N", **more: Any
) -> Any:
    """Return an option that takes a whole number.

    Args:
        names: its flags; none for that of the parameter's name.
    """
    return typer.Option(*names, metavar=metavar, parser=_reader(True, least, most), **more)


def number(
    *names: str,
    least: float | None = None,
    most: float | None = None,
    metavar: str = "NUMBER",
    **more: Any,
) -> Any:
    """Return the same for any number."""
    return typer.Option(*names, metavar=metavar, parser=_reader(False, least, most), **more)


def whole_argument(metavar: str, least: int | None = None, **more: Any) -> Any:
    """Return an argument that takes a whole number."""
    return typer.Argument(metavar=metavar, parser=_reader(True, least, None), **more)


def _reader(
    is_whole: bool, least: float | None, most: float | None
) -> Callable[[str | float], float]:
    wanted = "Enter a whole number" if is_whole else "Enter a number"
    if least is not None and most is not None:
        wanted += f" from {plain(least)} to {plain(most)}"
    elif least is not None:
        wanted += f" of at least {plain(least)}"

    def read(given: str | float) -> float:
        # Defaults come as they are.
        value: float | None = None if isinstance(given, str) else given
        if isinstance(given, str):
            try:
                value = read_number(given, whole=is_whole)
            except AmbiguousNumberError as error:
                raise typer.BadParameter(str(error)) from None
            except UnreadableNumberError:
                value = None
        low, high = -math.inf if least is None else least, math.inf if most is None else most
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"{wanted}.")
        return value

    return read
