"""Reports of evaluations, suites, merges, questions and facts, kept in the workspace.

    <workspace>/reports/<id>.json      {"report": {id, kind, title, created}, "request", "result"}

An id begins with the moment, so names sort by time. The first line of a file holds what a list
shows, so that a list of many large reports is quick; the whole file is one JSON document.
"""

from __future__ import annotations

import calendar
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any, Literal, get_args

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace

ReportKind = Literal[
    "evaluation",
    "suite",
    "merge",
    "questions",
    "harness",
    "chat-check",
    "chat-again",
    "facts",
    "leaks",
]
KINDS: tuple[ReportKind, ...] = get_args(ReportKind)
UNKNOWN = "unknown"
"""The kind that a damaged file has in a list."""
_FOLDER = "reports"
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_LARGEST = 64 * durable.MEBIBYTE
_LONGEST_TITLE = 200
_HEAD_LIMIT = 16_384
_LATEST = 1e11
_Summaries = list[dict[str, Any]]


class NoReportError(UserError):
    """There is no report with that id."""


class Reports:
    """The reports of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.root / _FOLDER

    def keep(
        self, kind: str, title: str, request: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """Store what came of a request.

        Args:
            kind: one of `KINDS`.

        Returns:
            {"report": its id, "title"}: what a program answers with.

        Raises:
            UserError: it is larger than what can be read again.
        """
        assert kind in KINDS
        now = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        number = f"{stamp}-{secrets.token_hex(3)}"
        shown = " ".join(title.split())[:_LONGEST_TITLE]
        head = {"id": number, "kind": kind, "title": shown, "created": now}
        first, rest = durable.dump_json({"report": head}), {"request": request, "result": result}
        data = f"{first[:-1]},\n{durable.dump_json(rest)[1:]}\n".encode()
        if len(data) > _LARGEST:
            raise UserError(
                f"The result is too large for a report ({len(data):,} bytes, at most "
                f"{_LARGEST:,}). Evaluate fewer models or texts at a time."
            )
        self._workspace.make(self._folder)
        durable.write_bytes(self._path(number), data)
        return {"report": number, "title": shown}

    def read(self, number: str) -> dict[str, Any]:
        """Return a report: {"id", "kind", "title", "created", "request", "result"}.

        Raises:
            NoReportError: there is none with that id.
            UserError: its file is damaged.
        """
        path = self._path(number)
        try:
            content = durable.read_json(path, _LARGEST)
        except FileNotFoundError:
            raise NoReportError(f"There is no report {number!r}.") from None
        head = _checked(content, number)
        request = content.get("request") if head else None
        result = content.get("result") if head else None
        if head is None or not isinstance(request, dict) or not isinstance(result, dict):
            raise UnusableFileError(path, "is not a report")
        return {**head, "request": request, "result": result}

    def list(self, kind: str | None = None) -> _Summaries:
        """Return the reports of one kind or of all, the newest first.

        Returns:
            {"id", "kind", "title", "created" (Unix seconds), "problem"} each. A file that cannot
            be used is in every list, with the kind `UNKNOWN` and its problem in words.
        """
        try:
            names = [entry.name for entry in os.scandir(self._folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        numbers = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        found = [self._summary(number) for number in numbers if _ID.fullmatch(number)]
        wanted = [one for one in found if kind is None or one["kind"] in (kind, UNKNOWN)]
        return sorted(wanted, key=lambda one: (one["created"], one["id"]), reverse=True)

    def file(self, number: str) -> Path:
        """Return a report's file, also a damaged one's. Kept measurements lie elsewhere.

        Raises:
            NoReportError: there is none with that id.
        """
        path = self._path(number)
        if not path.exists():
            raise NoReportError(f"There is no report {number!r}.")
        return path

    def _summary(self, number: str) -> dict[str, Any]:
        path = self._path(number)
        try:
            head = _checked(_head(path), number)
            if head is not None:
                return {**head, "problem": None}
            problem = f"{path} is not a report"
        except FileNotFoundError:
            problem = f"{path} was just deleted"
        except UnusableFileError as error:
            problem = str(error)
        return {
            "id": number,
            "kind": UNKNOWN,
            "title": number,
            "created": _moment(number),
            "problem": problem,
        }

    def _path(self, number: str) -> Path:
        if _ID.fullmatch(number) is None:
            raise NoReportError(f"There is no report {number!r}.")
        return self._folder / f"{number}.json"


def _head(path: Path) -> Any:
    """What the first line says, as the object that the whole file begins with."""
    with durable.open_regular_file(path) as file:
        first = file.readline(_HEAD_LIMIT)
        file.seek(-min(2, os.fstat(file.fileno()).st_size), os.SEEK_END)
        ending = file.read()
    if not first.endswith(b",\n") or ending != b"}\n":
        raise UnusableFileError(path, "is truncated or not a report")
    try:
        return durable.parse_json(first[:-2] + b"}")
    except ValueError as error:
        raise UnusableFileError(path, f"is not valid JSON: {error}") from None


def _checked(content: Any, number: str) -> dict[str, Any] | None:
    """The facts that a list shows; None where they are not what they should be."""
    head = content.get("report") if isinstance(content, dict) else None
    if not isinstance(head, dict) or head.get("id") != number or head.get("kind") not in KINDS:
        return None
    title, created = head.get("title"), head.get("created")
    if not isinstance(title, str) or isinstance(created, bool):
        return None
    if not isinstance(created, int | float) or not 0 <= created < _LATEST:
        return None
    return {"id": number, "kind": head["kind"], "title": title, "created": float(created)}


def _moment(number: str) -> float:
    """When a report was made, by its id; 0 where that is no date."""
    try:
        return float(calendar.timegm(time.strptime(number[:15], "%Y%m%d-%H%M%S")))
    except ValueError:
        return 0.0
