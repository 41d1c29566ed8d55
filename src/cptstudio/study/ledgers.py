"""What no made text may word: the questions of the workspace's ledgers, which are never trained on.

The sentence that proves a fact is not among them, since the corpus itself is to teach it. A
sentence with a gap counts only where the made text has a gap, too.
"""

from __future__ import annotations

import re
from typing import Final

from cptstudio.facts.wording_leaks import WordingIndex
from cptstudio.ledgers.fact import GAP
from cptstudio.ledgers.ledger import ledger_names, read_ledger
from cptstudio.workspace import Workspace

_GAPS: Final = re.compile(r"_{2,}|\.{4,}|\u2026{2,}|\[(?:gap|blank|\.\.\.)\]", re.IGNORECASE)


class AskedWordings:
    """The questions of all ledgers of a workspace.

    Attributes:
        ledgers: their names.
        too_short: questions that cannot be looked for, since they have too few words.

    Raises:
        UserError: a ledger cannot be read.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.ledgers = ledger_names(workspace)
        asked: dict[str, None] = {}
        gapped: dict[str, None] = {}
        for name in self.ledgers:
            for fact in read_ledger(workspace, name).facts:
                for wording in fact.wordings:
                    (gapped if wording.form == "cloze" else asked)[wording.text] = None
        self._asked, self._gapped = list(asked), list(gapped)
        self._index, self._gaps = WordingIndex(self._asked), WordingIndex(self._gapped)
        self.too_short = self._index.too_short + self._gaps.too_short

    def find(self, text: str) -> str | None:
        """Return a question that a text words, or None."""
        for place in self._index.find(text):
            return self._asked[place.number]
        lines = [line for line in text.splitlines() if _GAPS.search(line)]
        for place in self._gaps.find("\n".join(_GAPS.sub(GAP, line) for line in lines)):
            return self._gapped[place.number]
        return None
