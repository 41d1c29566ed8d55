"""The one table of metrics: every number that a run's rows and an evaluation hold.

The trainer logs no number that has no record here. Columns, charts, exports, comparisons, the API
and its page ask this table, and the pages get it by `GET /api/metrics`, so a metric is added by its
record and by the line that logs it (CONTRIBUTING.md, "How to add").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Format = Literal[
    "number", "rough", "decimals", "hundredths", "integer", "count", "bytes", "duration", "flag"
]  # fmt: skip
Better = Literal["lower", "higher"]
Drawn = Literal["smoothed", "last", "max"]
Compared = Literal["curve", "best", "last", "change"]
Axis = Literal["step", "tokens", "time"]


@dataclass(frozen=True)
class Chart:
    """A chart on a run's page; metrics that name the same one are drawn in it together.

    Attributes:
        id: names its exports.
        title: stands over it.
        size: "large" for the first of the page, "wide" for two places, "" for one.
        zero: whether its axis begins at zero.
        optional: whether it is left out of runs that have nothing of it.
    """

    id: str
    title: str
    size: Literal["large", "wide", ""] = ""
    zero: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is shown.

    Attributes:
        name: of its field in a row, in exports and in the API.
        title: for people.
        unit: in words; "" where it has none or the title says it.
        format: how the pages write it: "number" with four significant digits, "rough" with three,
            "decimals" with four decimals, "hundredths" with two, "count" in short (12.3 k),
            "flag" as yes or no.
        better: which direction is an improvement, or None where neither is.
        text: Python's format of it on a terminal.
        chart: where it is drawn, or None.
        drawn: each step behind its moving average, or the last or greatest value of each part.
        legend: its name in a chart that it shares, where that is not its title.
        compared: what of it is compared between runs.
        short: its name in the API's summaries, where that is not its name.
        column: whether curves of it are kept. A column takes eight bytes a row.
        machine: whether it tells what the machine did: time, speed, memory. All others are
            functions of config.json and the data, equal in every repetition on one machine.
    """

    name: str
    title: str
    unit: str = ""
    format: Format = "number"
    better: Better | None = None
    text: str = ".4f"
    chart: Chart | None = None
    drawn: Drawn = "smoothed"
    legend: str = ""
    compared: tuple[Compared, ...] = ()
    short: str = ""
    column: bool = True
    machine: bool = False

    @property
    def key(self) -> str:
        """Its name in the API's summaries."""
        return self.short or self.name


_LOSS: Final = Chart("loss", "Loss", size="large")
_HELD_OUT: Final = Chart("bits-per-byte", "Validation loss", size="wide")
_FACTS: Final = Chart("facts", "Facts", zero=True, optional=True)
_MEMORY: Final = Chart("memory", "Memory", zero=True)

TRAINING: Final = (
    Metric("step", "Steps", "steps", "integer", text=",.0f", compared=("last",)),
    Metric("time", "Time", "Unix seconds", column=False, machine=True),
    Metric("elapsed", "Training time", "seconds", "duration", machine=True),
    Metric("tokens_seen", "Tokens seen", "tokens", "integer", text=",.0f", compared=("last",)),
    Metric("tokens", "Tokens in step", "tokens", "integer", column=False),
    Metric("epoch", "Epochs", column=False),
    Metric(
        "loss", "Training loss", "nats per token", better="lower",
        chart=_LOSS, legend="Training", compared=("curve", "last"),
    ),
    Metric(
        "learning_rate", "Learning rate", format="rough", text=".2e",
        chart=Chart("learning-rate", "Learning rate", zero=True), drawn="last",
    ),
    Metric(
        "gradient_norm", "Gradient norm", format="rough",
        chart=Chart("gradient-norm", "Gradient norm"),
    ),
    Metric("step_seconds", "Step time", "seconds", "duration", machine=True),
    Metric(
        "tokens_per_second", "Throughput", "tokens per second", "count", better="higher",
        text=",.0f", chart=Chart("speed", "Throughput"), compared=("last",), machine=True,
    ),
    Metric("iterations_per_second", "Steps per second", "steps per second", machine=True),
    Metric("memory_active", "MLX memory, active", "bytes", "bytes", machine=True),
    Metric("memory_peak", "MLX memory, peak", "bytes", "bytes", machine=True),
    Metric(
        "memory_cache", "MLX memory, cached", "bytes", "bytes", column=False, machine=True
    ),
    Metric(
        "memory_process", "Process memory", "bytes", "bytes", better="lower",
        chart=_MEMORY, drawn="max", compared=("last",), machine=True,
    ),
)  # fmt: skip
"""Numbers of the rows of kind "train", in the order of exports."""

EVALUATION: Final = (
    Metric(
        "domain_bits_per_byte", "Domain validation", "bits per byte", "decimals", better="lower",
        chart=_HELD_OUT, compared=("curve", "best", "last", "change"), short="domain",
    ),
    Metric(
        "general_bits_per_byte", "General validation", "bits per byte", "decimals", better="lower",
        chart=_HELD_OUT, compared=("curve", "last", "change"), short="general",
    ),
    Metric(
        "facts_right", "Facts answered right", "share of facts", "decimals", better="higher",
        chart=_FACTS, compared=("curve", "best", "last", "change"),
    ),
    Metric(
        "facts_known", "Facts known", "share of facts", "decimals", better="higher",
        chart=_FACTS, compared=("curve", "last", "change"),
    ),
    Metric("best", "Best so far", format="flag"),
    Metric("evaluation_seconds", "Evaluation time", "seconds", "duration", machine=True),
)  # fmt: skip
"""Numbers of the rows of kind "evaluation" over all corpora of a role, and over a ledger."""

MEASURES: Final = (
    Metric("bits_per_byte", "Bits per byte", "bits per byte", "decimals", better="lower"),
    Metric("loss", "Loss", "nats per token", "decimals", better="lower", chart=_LOSS),
    Metric("perplexity", "Perplexity", format="hundredths", better="lower"),
)
"""What is measured on one set of held-out text, by a run's evaluations and by the tests of models;
each is a property of `lm.likelihood.Scores`."""

NUMBERS: Final = tuple(metric.name for metric in TRAINING if metric.column)
"""Columns of float64 that are kept of training rows."""

TEXTS: Final = {metric.name: metric.text for metric in (*TRAINING, *EVALUATION, *MEASURES)}
"""Formats on a terminal, by name."""

AXES: Final[dict[Axis, str]] = {"step": "step", "tokens": "tokens_seen", "time": "elapsed"}
"""What curves are drawn over, and the numbers that say it."""

ROW_FIELDS: Final = frozenset(
    [metric.name for metric in (*TRAINING, *EVALUATION)]
    + ["skipped", "corpora", "changes", "from_step", "after_seq"]
)
"""What the trainer may put into a row: metrics; why a step was skipped; `MEASURES` by corpus; how
an evaluation differs from those before (`training.held_out_sums`); and from where a resumed session
goes on."""
