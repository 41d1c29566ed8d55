"""Aims study texts at what a model does not know yet, by the newest time its ledger was asked."""

from __future__ import annotations

from typing import Any

from cptstudio.errors import UserError
from cptstudio.evaluation.reports import Reports
from cptstudio.ledgers.fact import Fact
from cptstudio.ledgers.ledger import read_ledger
from cptstudio.workspace import Workspace

_UNKNOWN = ("unknown", "forgotten")


class UnknownFacts:
    """The facts of a ledger that a model does not know.

    Args:
        model: its label in the report.

    Raises:
        UserError: there is no such ledger, or it was never asked of this model.
    """

    def __init__(self, workspace: Workspace, ledger: str, model: str) -> None:
        facts = {fact.id: fact for fact in read_ledger(workspace, ledger).facts}
        result, place = _newest(workspace, ledger, model)
        self.facts: list[Fact] = [
            facts[one["id"]]
            for one in result["facts"]
            if one["id"] in facts and _is_unknown(one["models"][place])
        ]
        self._sentences = {
            " ".join(one.source.sentence.split()) for one in self.facts if one.source.sentence
        }
        self._documents = {one.source.document for one in self.facts if not one.source.sentence} - {
            ""
        }

    def concern(self, document: str, text: str) -> bool:
        """Return whether a passage holds one of them.

        Args:
            document: hash of the document's text, hexadecimal.
            text: of the passage.
        """
        if document in self._documents:
            return True
        plain = " ".join(text.split())
        return any(sentence in plain for sentence in self._sentences)


def _newest(workspace: Workspace, ledger: str, model: str) -> tuple[dict[str, Any], int]:
    """The newest report of a ledger and a model, and the model's place in it."""
    reports = Reports(workspace)
    asked: set[str] = set()
    for summary in reports.list("facts"):
        if summary.get("problem"):
            continue
        result = reports.read(summary["id"])["result"]
        if result.get("ledger") != ledger:
            continue
        labels = [one["label"] for one in result["models"]]
        if model in labels:
            return result, labels.index(model)
        asked |= set(labels)
    there = f" It was asked of: {', '.join(sorted(asked))}." if asked else ""
    raise UserError.at(
        "unknown_model",
        f"The ledger {ledger!r} was not asked of {model!r} yet: `cpt-studio facts ask`.{there}",
    )


def _is_unknown(told: dict[str, Any]) -> bool:
    state = told.get("state")
    if state is not None:
        return state in _UNKNOWN
    return told.get("leads") is False
