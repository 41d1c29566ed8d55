"""What a step's logging, guards and state cost beside the step itself, in real runs.

    python -m benchmarks.loop_share            # three runs, some minutes
    python -m benchmarks.loop_share --page     # and put the table into docs/benchmarks.md

The trainer trains in a process of its own, as always; around its calls for rows, guards, records
and the run's lock are clocks. The first steps, which build kernels, are left out. A checkpoint is
saved once and told apart, since how often one is saved is a setting. Close other programs.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.machine import processor_name
from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.processes import apart
from benchmarks.plan_memory import CORPUS, make_workspace

CONFIGURATIONS = [("demo", "full", 128), ("demo", "lora", 512), ("14M", "full", 512)]
"""Model, method and context; the model with the shortest steps comes first."""
ROWS = 4
STEPS, WARM_UP = 60, 10
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PARTS = ("rows", "guards", "records", "memory meter", "run lock")


@dataclass
class Result:
    """One run; in seconds.

    Attributes:
        step: mean of the measured steps, with all that lies between them.
        parts: of a mean step, by name.
        checkpoint: one checkpoint, synced to the disk.
    """

    name: str
    step: float
    parts: dict[str, float]
    checkpoint: float

    @property
    def share(self) -> float:
        """Of the step that the parts take."""
        return sum(self.parts.values()) / self.step


class Clocks:
    """Seconds that methods took, by the name of a part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def around(self, part: str, owner: Any, name: str) -> Iterator[None]:
        """Time each call of a class's method while the context lasts."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                self.seconds[part] += time.perf_counter() - started

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, method)


def measure(root: Path, model: str, method: str, context: int) -> Result:
    """Train a run; once in a process."""
    from cptstudio.corpus.rows import RowOrder
    from cptstudio.json_lines import read_json_lines
    from cptstudio.run_files import METRICS
    from cptstudio.settings import parse_settings
    from cptstudio.training.checkpoints import CheckpointStore
    from cptstudio.training.console_progress import ProgressReporter
    from cptstudio.training.continued_pretraining import ContinuedPretraining
    from cptstudio.training.guards import StepGuard
    from cptstudio.training.loop import TrainingLoop
    from cptstudio.training.memory import MemoryMeter
    from cptstudio.training.prepare import prepare_run
    from cptstudio.training.run_lock import RunLock
    from cptstudio.training.stop_requests import StopRequest
    from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
    from cptstudio.workspace import Workspace

    settings = {
        "model": {"path": model},
        "data": {"corpora": [{"name": CORPUS}], "sequence_length": context},
        "length": f"{STEPS} steps",
        "method": {"kind": method},
        "batch": {"size": ROWS},
        "evaluation": {"max_tokens": 1000, "every": f"{STEPS} steps"},
        "checkpoints": {"every": f"{STEPS} steps"},
    }
    name = f"{model}, {method}, {ROWS} x {context}"
    run, _ = prepare_run(Workspace(root), f"{model}-{method}", parse_settings(settings))
    clocks = Clocks()
    at_warm_up: dict[str, float] = {}
    parts = [
        ("rows", RowOrder, "batch"),
        ("guards", StepGuard, "limits"),
        ("guards", StepGuard, "observe"),
        ("records", TrainingMetricsLogger, "row"),
        ("records", ProgressReporter, "step"),
        ("memory meter", MemoryMeter, "read"),
        ("run lock", RunLock, "check_present"),
        ("checkpoint", CheckpointStore, "begin"),
        ("checkpoint", CheckpointStore, "finished"),
    ]
    finish_step = TrainingLoop._finish_step

    def finish(self: Any, step: int, *more: Any) -> None:
        finish_step(self, step, *more)
        if step == WARM_UP:
            at_warm_up.update(clocks.seconds)

    with ExitStack() as stack:
        for part, owner, called in parts:
            stack.enter_context(clocks.around(part, owner, called))
        TrainingLoop._finish_step = finish  # type: ignore[method-assign, assignment]
        stack.callback(setattr, TrainingLoop, "_finish_step", finish_step)
        ending = ContinuedPretraining(run, StopRequest()).run()
    if ending.outcome != "completed":
        raise SystemExit(f"{name}: {ending.reason}")
    rows = [row for row in read_json_lines(run / METRICS).records if row["kind"] == "train"]
    seconds = [row["step_seconds"] for row in rows if row["step"] > WARM_UP]
    return Result(
        name,
        sum(seconds) / len(seconds),
        {part: (clocks.seconds[part] - at_warm_up[part]) / len(seconds) for part in PARTS},
        clocks.seconds["checkpoint"],
    )


def share_table(results: list[Result]) -> str:
    """One line for each run."""
    head = ["model, method, rows x context", "step, ms", *(f"{part}, ms" for part in PARTS)]
    rows = [
        [
            one.name,
            f"{1e3 * one.step:.0f}",
            *(f"{1e3 * one.parts[part]:.2f}" for part in PARTS),
            f"{one.share:.2%}",
            f"{1e3 * one.checkpoint:.0f}",
        ]
        for one in results
    ]
    return table([*head, "all of them / step", "a checkpoint, ms"], rows)


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="put the table into docs")
    arguments = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root)
        for configuration in CONFIGURATIONS:
            results.append(apart(measure, root, *configuration))
            print(f"{results[-1].name}: {results[-1].share:.2%}", flush=True)
    text = f"""{time.strftime("%Y-%m-%d")}: {processor_name()}, {os.cpu_count()} cores.

{share_table(results)}

Means of {STEPS - WARM_UP} steps of one run each."""
    print(f"\n{text}")
    if arguments.page:
        replace_part(PAGE, "loop_share", text)


if __name__ == "__main__":
    main()
