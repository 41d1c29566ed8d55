"""Speed of one training step against mlx-lm's own, with the same BLAS and the same model.

    python -m benchmarks.step_speed            # all configurations, about half an hour
    python -m benchmarks.step_speed --quick    # one configuration, a minute
    python -m benchmarks.step_speed --only full,8192,512 --only full,151936,512 --page

Each configuration runs in a process of its own. The two steps take turns in it, some steps a turn,
so that other load on the machine meets both alike; medians are reported, with the processor time
beside the wall time. The machine's speed in large products, which changes by a fifth from minute to
minute on shared machines, is measured before and after each turn of ours: the share of the peak is
formed turn by turn. Both steps include the optimizer (AdamW); packing, loading and logging are left
out. Tokens per second are trained tokens.
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.peers.machine import processor_name
from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.processes import apart
from benchmarks.steps.both import OurStep, stock_step
from benchmarks.steps.model import ROWS, build_model, operations
from benchmarks.steps.parts import breakdown, products_alone
from benchmarks.steps.timing import Timing, core_speed, median, timed

CONFIGURATIONS = [
    (vocabulary, context, method)
    for method in ("full", "lora")
    for vocabulary, context in ((8192, 256), (8192, 512), (8192, 2048), (32768, 512), (151936, 512))
]
QUICK = [(8192, 256, "full")]
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SHORT = 4096
"""Tokens of a step up to which a turn has three steps; longer ones have two."""


@dataclass
class Result:
    """One configuration: both steps, the operations that the model needs, and parts of our step.

    `peak_gflops` is the median speed of large products on all cores, `core_gflops` that on one, for
    each second of processor time: other load on the machine disturbs the first, and hardly the
    second. `share` and `core_share` are the medians of our step's shares of these, each formed with
    what was measured right before and after it.
    `products_seconds` is the processor time of the step's products of matrices, each on its own.
    """

    vocabulary: int
    context: int
    method: str
    gflop: float
    peak_gflops: float
    core_gflops: float
    share: float
    core_share: float
    stock: Timing
    ours: Timing
    products_seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Trained tokens of a step."""
        return ROWS * self.context


def measure(configuration: tuple[int, int, str], rounds: int) -> Result:
    """Time both steps in turns."""
    import mlx.core as mx
    import numpy as np

    from cptstudio.child_limits import usable_cores
    from cptstudio.lm import blas

    vocabulary, context, method = configuration
    cores = usable_cores()
    blas.use_fast_blas(cores)
    random = np.random.default_rng(0)
    tokens = random.integers(0, vocabulary, (ROWS, context + 1), dtype=np.int32)
    batch = tokens[:, :-1], tokens[:, 1:]
    stock = partial(stock_step(build_model(vocabulary, method)), *batch)
    our_step = OurStep(build_model(vocabulary, method))
    ours = partial(our_step, *batch)
    times = 3 if ROWS * context <= SHORT else 2
    gflop = operations(*configuration) / 1e9
    samples: dict[str, list[Timing]] = {"stock": [], "ours": []}
    shares: list[tuple[float, float]] = []
    peaks: list[tuple[float, float]] = []

    def peak() -> tuple[float, float]:
        # Our step sets the threads of BLAS, too.
        blas.set_blas_threads(1)
        core = core_speed()
        blas.set_blas_threads(cores)
        peaks.append((blas.measure_gflops(1024, 0.3), core))
        return peaks[-1]

    stock()
    timed(ours, 1, our_step.finish)
    for _ in range(rounds):
        blas.set_blas_threads(cores)
        samples["stock"].append(timed(stock, times))
        before = peak()
        timing = timed(ours, times, our_step.finish)
        everything, core = (sum(pair) / 2 for pair in zip(before, peak(), strict=True))
        samples["ours"].append(timing)
        shares.append((gflop / timing.wall / everything, gflop / timing.processor / core))
    blas.set_blas_threads(1)
    parts = breakdown(vocabulary, context, method)
    parts["optimizer"] = median([timed(our_step.update_alone) for _ in range(3)]).processor
    mx.clear_cache()
    peak_gflops, core_gflops = (statistics.median(speeds) for speeds in zip(*peaks, strict=True))
    share, core_share = (statistics.median(part) for part in zip(*shares, strict=True))
    return Result(
        *configuration,
        gflop,
        peak_gflops,
        core_gflops,
        share,
        core_share,
        median(samples["stock"]),
        median(samples["ours"]),
        products_alone(vocabulary, context, method),
        parts,
    )


def speed_table(results: list[Result]) -> str:
    """One line for each configuration."""
    head = [
        "method, vocabulary, context",
        "mlx-lm, tokens/s",
        "here, tokens/s",
        "ratio",
        "ratio of processor time",
        "mlx-lm, peak MB",
        "here, peak MB",
        "GFLOP a step",
        "share of all cores' peak",
        "the same by processor time",
        "its products alone",
    ]
    rows = []
    for one in results:
        speeds = [one.tokens / timing.wall for timing in (one.stock, one.ours)]
        rows.append(
            [
                f"{one.method}, {one.vocabulary}, {ROWS} x {one.context}",
                *(f"{speed:.0f}" for speed in speeds),
                f"{speeds[1] / speeds[0]:.2f}",
                f"{one.stock.processor / one.ours.processor:.2f}",
                f"{one.stock.peak_bytes / 1e6:.0f}",
                f"{one.ours.peak_bytes / 1e6:.0f}",
                f"{one.gflop:.0f}",
                f"{one.share:.0%}",
                f"{one.core_share:.0%}",
                f"{one.gflop / one.products_seconds / one.core_gflops:.0%}"
                if one.method == "full"
                else "-",
            ]
        )
    return table(head, rows)


def parts_table(results: list[Result]) -> str:
    """Processor seconds of the parts of our step."""
    names = list(results[0].parts)
    rows = []
    for one in results:
        rest = one.ours.processor - sum(one.parts.values())
        rows.append(
            [
                f"{one.method}, {one.vocabulary}, {ROWS} x {one.context}",
                f"{one.ours.processor:.2f}",
                *(f"{one.parts[name]:.3f}" for name in names),
                f"{rest:.3f}",
            ]
        )
    return table(["processor seconds of a step", "all", *names, "rest"], rows)


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one configuration, two rounds")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each kind that are timed")
    parser.add_argument(
        "--only", action="append", metavar="METHOD,VOCABULARY,CONTEXT", help="this configuration"
    )
    parser.add_argument("--page", action="store_true", help="put the tables into docs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else CONFIGURATIONS
    if arguments.only:
        asked = [text.split(",") for text in arguments.only]
        chosen = [(int(words), int(length), method) for method, words, length in asked]
    rounds = 2 if arguments.quick else arguments.rounds
    results: list[Result] = []
    for configuration in chosen:
        results.append(apart(measure, configuration, rounds))
        print(f"{configuration}: done", flush=True)
    everything, core = (
        f"{min(speeds):.0f} to {max(speeds):.0f}"
        for speeds in zip(*((r.peak_gflops, r.core_gflops) for r in results), strict=True)
    )
    text = f"""{time.strftime("%Y-%m-%d")}: {processor_name()}, {os.cpu_count()} cores.

{speed_table(results)}

{parts_table(results)}

Float32 products: {everything} GFLOP/s in all, {core} for a second of a core (medians of the
configurations). Medians of {rounds} turns of two or three steps of each kind. Waiting BLAS threads
count as processor time of mlx-lm's step, which uses one a core."""
    print(f"\n{text}")
    if arguments.page:
        replace_part(PAGE, "step_speed", text)
    if arguments.json:
        text = json.dumps([asdict(result) for result in results], indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
