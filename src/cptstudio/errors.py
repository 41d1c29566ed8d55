"""The one exception whose text is meant for the user, its findings, and what machines refuse."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

_REFUSALS: Final = {
    errno.ENOSPC: "The disk is full{place}. Free some space and try again.",
    errno.EDQUOT: "Your disk quota is used up{place}. Free some space and try again.",
    errno.EROFS: "The disk is read-only{place}. Make it writable, or choose another folder.",
    errno.EIO: "Disk error{place}. Check the disk and try again.",
    errno.EMFILE: "CPT Studio has reached its limit of open files. Close some pages or runs, or "
    "raise the limit (`ulimit -n`), and try again.",
    errno.ENFILE: "This machine has reached its limit of open files. Close other programs and try "
    "again.",
}
_NO_MORE_FILES: Final = (
    "The disk can't hold more files{place}: it has free space, but no free inodes. "
    "Delete some files and try again."
)


@dataclass(frozen=True)
class Finding:
    """A problem, with the field it is about.

    Attributes:
        sentence: what is wrong and what to do. Shown at the field it needs no field's name.
        field: dotted path in the tree that was checked, such as "evaluation.suite" or
            "data.corpora.0.weight"; "" where it is about the whole.
        title: the field's title, where the sentence alone does not say what it is about.
        missing: no value was given, where one is required.
    """

    sentence: str
    field: str = ""
    title: str = ""
    missing: bool = False

    def __str__(self) -> str:
        return f"{self.title}: {self.sentence}" if self.title else self.sentence

    @classmethod
    def of(cls, error: UserError, field: str) -> Finding:
        """Return an error as a finding about a field."""
        return cls(str(error), field)


class UserError(Exception):
    """An error that the user can fix: what happened, with which value, and what to do.

    The roof (the command line, the web API) prints it without a stack trace. Everything
    else that is raised is a fault of ours and keeps its trace in the log.

    Args:
        message: One or two sentences.
        problems: Several findings of one check, so that all of them are reported together; a
            plain sentence is a finding about no field.

    Attributes:
        findings: the problems with their fields.
        problems: the same as sentences that name their fields, without what the message says.
    """

    def __init__(self, message: str, problems: Sequence[str | Finding] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings = tuple(
            found if isinstance(found, Finding) else Finding(found) for found in problems
        )
        self.problems = tuple(
            str(finding) for finding in self.findings if finding.sentence != message
        )

    @classmethod
    def at(cls, field: str, error: str | UserError) -> Self:
        """Return an error that is about one field."""
        if isinstance(error, str):
            return cls(error, [Finding(error, field)])
        return cls(
            error.message,
            [Finding(sentence, field) for sentence in (error.message, *error.problems)],
        )

    def __str__(self) -> str:
        if not self.problems:
            return self.message
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])


def by_field(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Sentences by the dotted name of the field they are about, in the order they were found."""
    fields: dict[str, list[str]] = {}
    for finding in findings:
        if finding.field and finding.sentence not in fields.setdefault(finding.field, []):
            fields[finding.field].append(finding.sentence)
    return fields


class MachineError(UserError):
    """The machine refused to write, or to open one more file; nothing was wrong with the request.

    Attributes:
        full: there is no room on the disk.
    """

    def __init__(self, message: str, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


def machine_error(error: BaseException) -> MachineError | None:
    """Return the meaning of an OSError that any write may meet; None for every other error."""
    if not isinstance(error, OSError) or error.errno not in _REFUSALS:
        return None
    name = _file_of(error)
    sentence = _REFUSALS[error.errno]
    if error.errno == errno.ENOSPC and name and _has_no_inodes(name):
        sentence = _NO_MORE_FILES
    place = f" ({name})" if name else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return MachineError(sentence.format(place=place), full)


def refusal_of(error: BaseException) -> MachineError | None:
    """What an OSError means that reached the roof: as `machine_error`, and lacking permission."""
    refused = machine_error(error)
    if refused is None and isinstance(error, PermissionError):
        return MachineError(
            f"Permission denied for {_file_of(error) or 'a file'}. Change its permissions "
            "or owner, or choose another folder."
        )
    return refused


def _file_of(error: OSError) -> str:
    name = error.filename2 or error.filename
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""


def _has_no_inodes(name: str) -> bool:
    try:
        found = os.statvfs(os.path.dirname(name) or ".")
    except (OSError, ValueError):
        return False
    # Some file systems count none at all.
    return found.f_files > 0 and found.f_favail == 0 and found.f_bavail > 0
