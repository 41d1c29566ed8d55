"""The one exception whose text is meant for the user, and the findings it carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the field it is about.

    Attributes:
        sentence: what is wrong and what to do. Shown at the field it needs no field's name.
        field: dotted path in the tree that was checked, such as "evaluation.suite" or
            "data.corpora.0.weight"; "" where it is about the whole.
        title: the field's title, where the sentence alone does not say what it is about.
    """

    sentence: str
    field: str = ""
    title: str = ""

    def __str__(self) -> str:
        return f"{self.title}: {self.sentence}" if self.title else self.sentence

    @classmethod
    def of(cls, error: UserError, field: str) -> Finding:
        """What an error says, as a finding about a field."""
        return cls(str(error), field)


class UserError(Exception):
    """Something the user can put right: what happened, with which value, and what to do.

    The roof (the command line, the web API) prints it without a stack trace. Everything
    else that is raised is a fault of ours and keeps its trace in the log.

    Args:
        message: One or two sentences.
        problems: Several findings of one check, so that all of them are reported together; a
            plain sentence is a finding about no field.

    Attributes:
        findings: the problems with their fields.
        problems: the same as sentences that name their fields.
    """

    def __init__(self, message: str, problems: Sequence[str | Finding] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings = tuple(
            found if isinstance(found, Finding) else Finding(found) for found in problems
        )
        self.problems = tuple(str(finding) for finding in self.findings)

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
