"""Bars on standard error for long work, each drawn the same way."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cptstudio.cli.common import errors


def count_bar(*, quiet: bool) -> Progress:
    """Counts things; its tasks have the fields "unit" and "detail"."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=errors,
        transient=True,
        disable=quiet,
    )


def byte_bar(*, quiet: bool) -> Progress:
    """Counts bytes; its tasks have the field "detail"."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=errors,
        transient=True,
        disable=quiet,
    )
