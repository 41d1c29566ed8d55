"""The programs that make and ask facts, by the names of their modules."""

from __future__ import annotations

from typing import Final

MAKE: Final = "cptstudio.facts.make_program"
ASK: Final = "cptstudio.facts.ask_program"
LEAKS: Final = "cptstudio.facts.leak_program"
