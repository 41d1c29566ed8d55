"""How a run is cut to the memory of a machine: what defaults and "Make it fit" choose from.

An update keeps its tokens whatever the cut: fewer or shorter rows are accumulated more often. What
computes the same comes first: fewer rows at once, then gradient checkpointing, which takes 1.3
times the time; then what does not, shorter rows or another method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cptstudio.lm.attention_blocks import LONG_CONTEXT
from cptstudio.lm.description import ModelDescription
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.settings import SHORTEST_CONTEXT, MethodName, TrainingSettings
from cptstudio.training.machine import Machine
from cptstudio.training.resources import MemoryEstimate, estimate_memory, least_memory


@dataclass(frozen=True)
class Cut:
    """The choices that decide the memory of a step.

    Attributes:
        context: tokens in a row.
        rows: of a micro-batch.
        accumulation: micro-batches of an update.
    """

    kind: MethodName
    context: int
    rows: int
    accumulation: int
    checkpointing: bool

    @property
    def update_tokens(self) -> int:
        """Tokens that an update sees."""
        return self.context * self.rows * self.accumulation

    def applied(self, settings: TrainingSettings) -> TrainingSettings:
        """Return settings cut like this."""
        long = settings.compute.long_attention
        return settings.model_copy(
            update={
                "method": settings.method.model_copy(update={"kind": self.kind}),
                "data": settings.data.model_copy(update={"sequence_length": self.context}),
                "batch": settings.batch.model_copy(
                    update={"size": self.rows, "gradient_accumulation_steps": self.accumulation}
                ),
                "compute": settings.compute.model_copy(
                    update={
                        "gradient_checkpointing": self.checkpointing,
                        "long_attention": self.context >= LONG_CONTEXT if long is None else long,
                    }
                ),
            }
        )


@dataclass(frozen=True)
class Freedom:
    """The parts of a cut that may be chosen differently."""

    rows: bool
    accumulation: bool
    checkpointing: bool


class Gauge:
    """Tells the memory of a run's cuts on a machine; each is estimated once."""

    def __init__(
        self,
        model: ModelDescription,
        network: NetworkFacts,
        settings: TrainingSettings,
        machine: Machine,
    ) -> None:
        """Args: settings: complete but for the cut."""
        self.model, self.network, self.machine = model, network, machine
        self.settings = settings
        self._known: dict[Cut, MemoryEstimate] = {}

    def needed(self, cut: Cut) -> int:
        """Return the bytes of a step."""
        if cut not in self._known:
            settings = cut.applied(self.settings)
            self._known[cut] = estimate_memory(self.model, self.network, settings, self.machine)
        return self._known[cut].total

    def least(self, cut: Cut) -> int:
        """Return the bytes that a step takes at least: what is known without asking for a graph."""
        if cut in self._known:
            return self._known[cut].total
        floor = least_memory(self.network, cut.applied(self.settings), self.machine)
        bounds = (self._bound(floor, cut, other) for other in self._known)
        return max(floor.total, *bounds, 0)

    def _bound(self, floor: MemoryEstimate, cut: Cut, other: Cut) -> int:
        """What a cut takes at least by another one, of which a part is there for each row."""
        alike = (cut.kind, cut.checkpointing, cut.context >= LONG_CONTEXT) == (
            other.kind, other.checkpointing, other.context >= LONG_CONTEXT
        )  # fmt: skip
        if not alike:
            return 0
        known = self._known[other]
        # Activations grow with the rows, and with the length or its square.
        part = min(1.0, cut.rows / other.rows) * min(1.0, cut.context / other.context) ** 2
        return known.weights + known.optimizer + floor.accumulated + int(part * known.backward)

    def words(self, cut: Cut) -> str:
        """Return the memory of a step, as far as it is known, such as "16.4 GB"."""
        return f"{'' if cut in self._known else 'more than '}{self.least(cut) / 1e9:,.1f} GB"

    def first_fitting(self, groups: Sequence[Sequence[Cut]], room: int) -> Cut | None:
        """Return the first cut that fits.

        Args:
            groups: in the order of preference; the members of each differ in rows alone, the most
                rows first.
        """
        preferred = groups[0][0]
        if self.least(preferred) <= room and self.needed(preferred) <= room:
            return preferred
        if self._needs_more(groups[-1], room):
            return None
        for group in groups:
            candidates = [cut for cut in group if self.least(cut) <= room]
            if not candidates:
                continue
            if self.needed(candidates[0]) <= room:
                return candidates[0]
            if self._needs_more(group, room):
                continue
            for cut in candidates[1:]:
                if self.needed(cut) <= room:
                    return cut
        return None

    def _needs_more(self, group: Sequence[Cut], room: int) -> bool:
        """Whether what the fewest rows need, if not accumulated, is too much: all need that."""
        least = replace(group[-1], accumulation=1)
        return self.least(least) > room or self.needed(least) > room

    def smallest(self, groups: Sequence[Sequence[Cut]]) -> Cut:
        """Return the cut that needs least: of the last group, the most or the fewest rows."""
        return min((groups[-1][0], groups[-1][-1]), key=self.needed)


def groups(
    wanted: Cut, methods: Iterable[tuple[MethodName, Iterable[int]]], free: Freedom
) -> list[list[Cut]]:
    """Return the cuts of a run, in the order of preference, grouped for `Gauge.first_fitting`.

    Args:
        wanted: the cut where memory is plentiful.
        methods: with the lengths of rows that each may have; what is preferred first.
    """
    ways = (wanted.checkpointing, True) if free.checkpointing else (wanted.checkpointing,)
    found = []
    for kind, lengths in methods:
        for context in lengths:
            for checkpointing in dict.fromkeys(ways):
                cut = replace(wanted, kind=kind, context=context, checkpointing=checkpointing)
                rows = list(_rows(cut, wanted.update_tokens, free))
                found += [rows] if rows else []
    return found


def contexts(wanted: int) -> Iterator[int]:
    """Yield the lengths of rows: the one wanted, its half, and so on."""
    yield wanted
    while wanted % 2 == 0 and wanted // 2 >= SHORTEST_CONTEXT:
        wanted //= 2
        yield wanted


def _rows(cut: Cut, tokens: int, free: Freedom) -> Iterator[Cut]:
    """The cut with fewer and fewer rows, all with as many tokens of an update."""
    rows = cut.rows
    while rows:
        times, rest = divmod(tokens, rows * cut.context)
        if not rest and (free.accumulation or times == cut.accumulation):
            yield replace(cut, rows=rows, accumulation=times)
        rows = rows // 2 if free.rows else 0
