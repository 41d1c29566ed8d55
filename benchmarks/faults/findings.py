"""What was done, what was checked, what was violated."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass


@dataclass
class Findings:
    """Counts of faults and checks, and a sentence for each violation."""

    counts: Counter[str]
    violations: list[str]
    started: float

    def did(self, what: str, times: int = 1) -> None:
        """Count a fault or a check."""
        self.counts[what] += times

    def check(self, what: str, holds: bool, otherwise: str) -> None:
        """Count a check; note a violation where it does not hold."""
        self.counts[f"checked: {what}"] += 1
        if not holds:
            self.violations.append(f"{what}: {otherwise}")

    def table(self) -> str:
        """Everything as text."""
        lines = [f"{name:<58} {count:>7,}" for name, count in sorted(self.counts.items())]
        lines.append(f"{'seconds':<58} {time.monotonic() - self.started:>7,.0f}")
        lines.append(f"{'VIOLATIONS':<58} {len(self.violations):>7,}")
        return "\n".join([*lines, *(f"  - {violation}" for violation in self.violations)])
