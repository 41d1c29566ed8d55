"""What is measured, in which order, and about how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.model_folder import TOKENIZER_PIECES

OURS = "CPT Studio"

# Computed targets per second of mlx-lm on a desktop core pair, for the estimate alone.
_FAST_RATE = {"full": 600.0, "lora": 600.0}
_INSTALLED_RATE = 40.0
_START_SECONDS = 8.0


@dataclass(frozen=True)
class Cell:
    """One configuration that all tools are measured in.

    Attributes:
        method: "full" or "lora".
        context: tokens in a row at most.
        vocabulary: rows of the embedding.
        fast_blas: whether the peers get the BLAS that CPT Studio uses, or run as installed.
    """

    method: str
    context: int
    vocabulary: int = TOKENIZER_PIECES
    fast_blas: bool = True


@dataclass(frozen=True)
class Run:
    """One process to measure: `warmup` steps that do not count, then `steps` that do."""

    tool: str
    cell: Cell
    round: int
    warmup: int
    steps: int
    batch: int = 4

    @property
    def estimated_seconds(self) -> float:
        """A rough guess from the number of positions and the size of the output layer."""
        rate = _FAST_RATE[self.cell.method] if self.cell.fast_blas else _INSTALLED_RATE
        rate /= 1 + (self.cell.vocabulary - TOKENIZER_PIECES) / 30_000 + self.cell.context / 8192
        if self.tool == OURS:
            rate *= 2
        positions = (self.warmup + self.steps) * self.batch * self.cell.context
        return _START_SECONDS + positions / rate


def steps_for(context: int) -> int:
    """How many steps a process is measured for: few where steps are long."""
    return 6 if context < 1024 else 2


def main_runs(
    tools: Sequence[str], contexts: Sequence[int], methods: Sequence[str], rounds: int
) -> list[Run]:
    """All tools in turn, round by round; each round begins with another tool."""
    runs = []
    for number in range(rounds):
        for method in methods:
            for context in contexts:
                for place in range(len(tools)):
                    tool = tools[(place + number) % len(tools)]
                    cell = Cell(method, context)
                    runs.append(Run(tool, cell, number, 1, steps_for(context)))
    return runs


def vocabulary_runs(
    tools: Sequence[str], vocabularies: Sequence[int], context: int, rounds: int
) -> list[Run]:
    """Full training with larger output layers."""
    return [
        Run(tool, Cell("full", context, vocabulary), number, 1, 2)
        for number in range(rounds)
        for vocabulary in vocabularies
        for tool in tools
    ]


def installed_runs(
    peers: Sequence[str], contexts: Sequence[int], methods: Sequence[str]
) -> list[Run]:
    """Peers with the BLAS they come with: a step each, for it takes a minute or more.

    There is no warm-up: next to such a step, building the kernels is short, and the runs before
    have left them in the cache.
    """
    return [
        Run(peer, Cell(method, context, fast_blas=False), 0, 0, 1)
        for method in methods
        for context in contexts
        for peer in peers
    ]


def budget(runs: Sequence[Run]) -> str:
    """A sentence about how long the runs will take."""
    minutes = sum(run.estimated_seconds for run in runs) / 60
    return f"{len(runs)} measured processes, about {minutes:.0f} minutes on two desktop cores."
