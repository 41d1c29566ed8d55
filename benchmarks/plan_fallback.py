"""Attention's fallback on a GPU, planned against measured with the same graph on this CPU.

    python -m benchmarks.plan_fallback
    python -m benchmarks.plan_fallback --page     # the table into docs/planning.md

Where a GPU has no fused kernel for attention's gradient, MLX puts attention together from single
operations. That graph is the same on a CPU without our own kernels, so its memory can be measured
here: the step is built as a GPU gets it and computed in float32 on the CPU. Planned is the same run
for a Mac. Measured is the peak of MLX's arrays, each configuration in a process of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.processes import apart
from benchmarks.plan_memory import write_model

PAGE = Path(__file__).parents[1] / "docs" / "planning.md"
MAC = "M3 Max 128 GB"
LENGTHS = {False: (1024, 2048), True: (2048, 4096)}
"""Of attention that keeps its scores, and of attention in blocks."""
LOWEST, HIGHEST = 0.9, 1.3
SHAPE = {"width": 192, "layers": 6, "inner": 512, "heads": 4, "groups": 2, "words": 4096}
HEAD_SIZE = 48
"""Smaller than what MLX has kernels for."""
BY_GRAPH = ("gpt_oss",)
"""Windows and sinks."""
TOYS = "toys"


@dataclass(frozen=True)
class Configuration:
    """A run to plan and to measure."""

    model: str
    length: int
    blocks: bool
    checkpointing: bool

    def __str__(self) -> str:
        how = "blocks" if self.blocks else "whole"
        return f"{self.model}, 1 x {self.length}, {how}{', checkpointing' * self.checkpointing}"


def measure(root: Path, one: Configuration) -> tuple[int, int]:
    """Bytes planned, and bytes of real steps; once in a process."""
    import mlx.core as mx

    from cptstudio.lm.cpu_kernels import described_as_gpu
    from cptstudio.settings import parse_settings
    from cptstudio.training.guards import Limits
    from cptstudio.training.known_machines import machine_named
    from cptstudio.training.planning import make_plan
    from cptstudio.training.prepare import plan_config
    from cptstudio.training.setup import set_up
    from cptstudio.training.step import TrainingStep
    from cptstudio.workspace import Workspace

    corpus = "plain" if one.model == "plain" else TOYS
    tree: dict[str, Any] = {
        "model": {"path": one.model},
        "data": {"corpora": [{"name": corpus}], "sequence_length": one.length},
        "length": "3 steps",
        "method": {"kind": "full"},
        "batch": {"size": 1, "gradient_accumulation_steps": 1},
        "compute": {
            "dtype": "float32",
            "compile": False,
            "gradient_checkpointing": one.checkpointing,
            "long_attention": one.blocks,
        },
        "evaluation": {"max_tokens": 1000},
    }
    workspace, settings = Workspace(root), parse_settings(tree)
    planned = make_plan(workspace, settings, machine_named(MAC)).memory.total
    config, _ = plan_config(workspace, "fallback", settings)
    with described_as_gpu():
        setup = set_up(config)
        step = TrainingStep(setup)
        mx.reset_peak_memory()
        for number in range(2):
            step.submit(number, 0, Limits()).read()
            mx.synchronize()
    return planned, mx.get_peak_memory()


def make_workspace(root: Path) -> None:
    """Make a corpus and the models."""
    import sysconfig
    from importlib.resources import files

    from cptstudio.corpus.build import build_corpus
    from cptstudio.workspace import Workspace
    from tests.shared_architectures import save_shared_architecture

    workspace = Workspace(root)
    workspace.make(workspace.corpora)
    demo = Path(str(files("cptstudio") / "data" / "demo-base"))
    write_model(workspace.base_model("plain"), demo, **SHAPE, head_size=HEAD_SIZE)
    library = Path(sysconfig.get_path("stdlib"))
    sources = [library / f"{name}.py" for name in ("argparse", "ast", "inspect", "typing")]
    for name in BY_GRAPH:
        save_shared_architecture(name, workspace.base_model(name))
    # The toys have a tokenizer of their own.
    for corpus, model in (("plain", "plain"), (TOYS, BY_GRAPH[0])):
        build_corpus(workspace.corpus(corpus), sources, model_path=workspace.base_model(model))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", metavar="WORDS", help="those whose name holds this")
    parser.add_argument("--page", action="store_true", help="put the table into docs")
    given = parser.parse_args(arguments)
    chosen = [
        Configuration(model, length, blocks, checkpointing)
        for model in ("plain", *BY_GRAPH)
        for blocks in (False, True)
        for length in LENGTHS[blocks]
        for checkpointing in (False, True)
    ]
    rows: list[list[str]] = []
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root)
        for one in chosen:
            if given.only and given.only not in str(one):
                continue
            planned, peak = apart(measure, root, one)
            ratios.append(planned / peak)
            rows.append([str(one), *(f"{x / 1e6:.0f}" for x in (planned, peak))])
            rows[-1].append(f"{ratios[-1]:.2f}")
            print(" | ".join(rows[-1]), flush=True)
    text = table(["run", "planned, MB", "measured, MB", "ratio"], rows)
    text += f"\n\n{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"\n{text}")
    if given.page:
        replace_part(PAGE, "plan_fallback", text)
    return 0 if min(ratios) >= LOWEST and max(ratios) <= HIGHEST else 1


if __name__ == "__main__":
    sys.exit(main())
