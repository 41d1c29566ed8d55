"""Long contexts: planned memory against measured, and the time of a token, in blocks and not.

    python -m benchmarks.long_contexts                       # a small network, 8k, 16k and 32k
    python -m benchmarks.long_contexts --model FOLDER 8192   # another one, at one length
    python -m benchmarks.long_contexts --whole 8192          # also attention that keeps its scores

One row with gradient checkpointing, each configuration in a process of its own. Measured is the
peak of MLX's arrays in steps of a real run, and the processor time of a step, which other load on
the machine changes less than the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.markdown import table
from benchmarks.peers.processes import apart
from benchmarks.plan_memory import CORPUS, write_model

LENGTHS = (8192, 16_384, 32_768)
MODEL = "model"
SHAPE = {"width": 128, "layers": 2, "inner": 384, "heads": 2, "groups": 1, "words": 4096}


@dataclass(frozen=True)
class Result:
    """A configuration: bytes and seconds.

    Attributes:
        processor: seconds of a step of all cores together.
    """

    name: str
    length: int
    planned: int
    peak: int
    seconds: float
    processor: float


def make_workspace(root: Path, model: Path | None) -> None:
    """Make a corpus and a model that knows such contexts."""
    import sysconfig
    from importlib.resources import files

    from cptstudio.corpus.build import build_corpus
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    workspace.make(workspace.corpora)
    folder = workspace.base_model(MODEL)
    if model is not None:
        workspace.make(folder.parent)
        folder.symlink_to(model.resolve(), target_is_directory=True)
    else:
        write_model(folder, Path(str(files("cptstudio") / "data" / "demo-base")), **SHAPE)
    library = Path(sysconfig.get_path("stdlib"))
    build_corpus(workspace.corpus(CORPUS), sorted(library.glob("*.py"))[:60], model_path=folder)


def measure(
    root: Path, length: int, blocks: bool, checkpointing: bool, method: str, steps: int
) -> Result:
    """Plan a run and do its first steps; once in a process."""
    import mlx.core as mx

    from cptstudio.settings import parse_settings
    from cptstudio.training.guards import Limits
    from cptstudio.training.planning import make_plan
    from cptstudio.training.prepare import plan_config
    from cptstudio.training.setup import set_up
    from cptstudio.training.step import TrainingStep
    from cptstudio.workspace import Workspace

    tree: dict[str, Any] = {
        "model": {"path": MODEL},
        "data": {"corpora": [{"name": CORPUS}], "sequence_length": length},
        "length": "3 steps",
        "method": {"kind": method, "rank": 16},
        "batch": {"size": 1, "gradient_accumulation_steps": 1},
        "compute": {"gradient_checkpointing": checkpointing, "long_attention": blocks},
        "evaluation": {"max_tokens": 1000},
    }
    workspace, settings = Workspace(root), parse_settings(tree)
    planned = make_plan(workspace, settings).memory.total
    config, _ = plan_config(workspace, "long", settings)
    setup = set_up(config)
    step = TrainingStep(setup)
    mx.reset_peak_memory()
    seconds, processor = [], []
    for number in range(steps):
        began, used = time.perf_counter(), time.process_time()
        step.submit(number, 0, Limits()).read()
        mx.synchronize()
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    name = f"{method}, {'blocks' if blocks else 'whole'}{', checkpointing' * checkpointing}"
    peak = mx.get_peak_memory()
    return Result(
        name, length, planned, peak, statistics.median(seconds), statistics.median(processor)
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("lengths", nargs="*", type=int, metavar="LENGTH")
    parser.add_argument("--model", type=Path, help="a folder (default: a small one is made)")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--whole", action="store_true", help="also with all scores kept")
    parser.add_argument("--without", action="store_true", help="also without checkpointing")
    parser.add_argument("--steps", type=int, default=2, help="of each (default: 2)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root, given.model)
        for length in given.lengths or LENGTHS:
            for blocks in (True, False) if given.whole else (True,):
                for checkpointing in (True, False) if given.without else (True,):
                    one = apart(
                        measure, root, length, blocks, checkpointing, given.method, given.steps
                    )
                    results.append(one)
                    print(json.dumps(asdict(one)), flush=True)
    head = ["run", "context", "planned, MB", "measured, MB", "ratio", "processor ms a token"]
    rows = [
        [
            one.name,
            f"{one.length:,}",
            f"{one.planned / 1e6:,.0f}",
            f"{one.peak / 1e6:,.0f}",
            f"{one.planned / one.peak:.2f}",
            f"{1e3 * one.processor / one.length:.2f}",
        ]
        for one in results
    ]
    print(f"\n{table(head, rows)}")
    if given.json:
        found = [asdict(one) for one in results]
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
