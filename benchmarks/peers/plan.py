"""What is measured, in which order, and about how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.model_folder import TOKENIZER_PIECES

OURS = "CPT Studio"

_START_SECONDS = 6.0
LONG_CONTEXT = 1024


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
    def is_long(self) -> bool:
        """Whether a step takes so long that everything not needed is left out."""
        return self.cell.context >= LONG_CONTEXT

    @property
    def estimated_seconds(self) -> float:
        """A guess, from what mlx-lm takes for a target on two desktop cores."""
        cell = self.cell
        per_target = 0.5e-3 + 1.9e-6 * cell.context + 50e-9 * (cell.vocabulary - TOKENIZER_PIECES)
        if not cell.fast_blas:
            per_target += 23e-3
        if self.tool == OURS:
            per_target /= 2
        steps = self.steps + (0.2 if self.is_long else 1) * self.warmup
        return _START_SECONDS + steps * self.batch * cell.context * per_target


def is_needed(run: Run, leader: str | None) -> bool:
    """Whether to measure a run, now that `leader` is its cell's fastest peer so far.

    At long contexts a step takes half a minute: after the first round only the fastest peer,
    which the conclusion is about, and CPT Studio go on.
    """
    return run.round == 0 or not run.is_long or run.tool in (OURS, leader)


def steps_for(context: int) -> int:
    """How many steps a process is measured for: few where steps are long."""
    return 4 if context < LONG_CONTEXT else 2


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
    first = next((run.tool for run in runs if run.tool != OURS), None)
    needed = [run for run in runs if is_needed(run, first)]
    minutes = sum(run.estimated_seconds for run in needed) / 60
    return f"{len(needed)} measured processes, about {minutes:.0f} minutes on two desktop cores."
