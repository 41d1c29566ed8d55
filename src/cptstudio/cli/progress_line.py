"""Bars on standard error for long work, each drawn the same way."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cptstudio.cli.common import errors


def count_bar(*, quiet: bool) -> Progress:
    """Return the counts things; its tasks have the fields "unit" and "detail"."""
    return _bar(quiet, MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))


def byte_bar(*, quiet: bool) -> Progress:
    """Return the counts bytes; its tasks have the field "detail"."""
    return _bar(quiet, DownloadColumn(binary_units=True), TransferSpeedColumn())


def _bar(quiet: bool, *amounts: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amounts,
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=errors,
        transient=True,
        disable=quiet,
    )
