"""The strategies: how texts are made of a passage, from `data/study_strategies.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

from cptstudio.errors import UserError

_FILE: Final = "study_strategies.toml"
Need = Literal["nothing", "numbers"]
Kind = Literal["passage", "pairs"]


@dataclass(frozen=True)
class Strategy:
    """One way to make texts of a passage.

    Attributes:
        name: as commands and requests have it.
        title: as people read it.
        help: what comes of it, in a sentence.
        prompt: with {passage}, {style}, and for pairs {first} and {second}.
        styles: taken in turn where several wordings are made.
        written: tokens that are written for one of the passage's, about.
        kind: a text of a passage, or one of each pair of things that it names.
        needs: what a passage must hold.
        list_prompt: of pairs: how the things are asked for.
        system: what the model is told first, in all strategies.
    """

    name: str
    title: str
    help: str
    prompt: str
    styles: tuple[str, ...]
    written: float
    kind: Kind
    needs: Need
    list_prompt: str
    system: str

    def style(self, wording: int) -> str:
        """Return how a wording, counted from 0, is written."""
        return self.styles[wording % len(self.styles)]

    def digest(self, wording: int) -> str:
        """Return a hash of all that the model is told but the passage: the prompt's version."""
        told = (self.system, self.prompt, self.style(wording), self.list_prompt)
        return hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]

    def messages(
        self, passage: str, wording: int, first: str = "", second: str = ""
    ) -> list[dict[str, str]]:
        """Return what a model is asked."""
        asked = _filled(
            self.prompt,
            {"passage": passage, "style": self.style(wording), "first": first, "second": second},
        )
        return self._told(asked)

    def list_messages(self, passage: str) -> list[dict[str, str]]:
        """Return how a model is asked for the things that a passage names."""
        return self._told(_filled(self.list_prompt, {"passage": passage}))

    def _told(self, asked: str) -> list[dict[str, str]]:
        # In one message, since not every chat template has a place for a system's.
        return [{"role": "user", "content": f"{self.system.strip()}\n\n{asked.strip()}"}]


@cache
def strategies() -> dict[str, Strategy]:
    """Return all strategies by name, in the order of the file."""
    text = (resources.files("cptstudio") / "data" / _FILE).read_text(encoding="utf-8")
    content: dict[str, Any] = tomllib.loads(text)
    found = {}
    for entry in content["strategy"]:
        given = {"kind": "passage", "needs": "nothing", "list_prompt": "", **entry}
        given["styles"] = tuple(given["styles"])
        found[entry["name"]] = Strategy(system=content["system"], **given)
    return found


def chosen_strategies(names: tuple[str, ...]) -> list[Strategy]:
    """Return strategies by name, each once, in the order of the file.

    Raises:
        UserError: there is none of a name.
    """
    known = strategies()
    for name in names:
        if name not in known:
            raise UserError.at(
                "strategies", f"There is no strategy {name!r}. Use {', '.join(known)}."
            )
    return [one for one in known.values() if one.name in names]


def _filled(prompt: str, values: dict[str, str]) -> str:
    """Fill a prompt in; what stands in a value is never filled in again."""
    first, *pieces = prompt.split("{")
    parts = [first]
    for piece in pieces:
        name, brace, rest = piece.partition("}")
        parts.append(values[name] + rest if brace and name in values else "{" + piece)
    return "".join(parts)
