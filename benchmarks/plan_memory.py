"""How good the planner's estimate of memory is: real training steps against the plan.

    python -m benchmarks.plan_memory            # all configurations, some minutes
    python -m benchmarks.plan_memory --quick    # three of them
    python -m benchmarks.plan_memory --terms    # the terms of each estimate, too

Each configuration is planned, then trained for five real steps in a process of its own. Measured is
the peak of MLX's arrays, which the plan is about; beside it stands the process's largest resident
size, which also holds Python, its libraries and MLX's cache of freed arrays. The models have random
weights; the text is source code of the running Python's standard library. Other load on the machine
does not matter.
"""

import argparse
import json
import resource
import shutil
import sys
import sysconfig
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.peers.markdown import table
from benchmarks.peers.processes import apart

STEPS = 5
CORPUS = "text"
_SHAPES: dict[str, dict[str, int]] = {
    # Name: width, layers, width of the feed-forward part, heads, key heads, size of a head, words.
    "demo": {},
    "14M": {"width": 320, "layers": 8, "inner": 1024, "heads": 5, "groups": 5, "words": 8192},
    "22M": {"width": 320, "layers": 8, "inner": 1024, "heads": 5, "groups": 5, "words": 32768},
    "29M": {"width": 512, "layers": 8, "inner": 1536, "heads": 8, "groups": 2, "words": 4096},
}
_HEAD_SIZE = 64


@dataclass(frozen=True)
class Configuration:
    """A run to plan and to measure."""

    model: str
    method: str
    rows: int
    context: int
    checkpointing: bool = False
    accumulation: int = 1

    def __str__(self) -> str:
        more = ", checkpointing" if self.checkpointing else ""
        more += f", {self.accumulation} micro-batches" if self.accumulation > 1 else ""
        return f"{self.model}, {self.method}, {self.rows} x {self.context}{more}"

    def settings(self) -> dict[str, Any]:
        """The tree of settings."""
        return {
            "model": {"path": self.model},
            "data": {"corpora": [{"name": CORPUS}], "sequence_length": self.context},
            "length": f"{STEPS} steps",
            "method": {"kind": self.method},
            "batch": {"size": self.rows, "gradient_accumulation_steps": self.accumulation},
            "compute": {"gradient_checkpointing": self.checkpointing},
            "evaluation": {"max_tokens": 1000},
        }


CONFIGURATIONS = [
    Configuration("demo", "full", 1, 128),
    Configuration("demo", "full", 4, 512),
    Configuration("demo", "full", 8, 512, checkpointing=True),
    Configuration("demo", "lora", 4, 512),
    Configuration("14M", "full", 1, 128),
    Configuration("14M", "full", 1, 1024),
    Configuration("14M", "full", 4, 512),
    Configuration("14M", "full", 4, 1024),
    Configuration("14M", "full", 4, 1024, checkpointing=True),
    Configuration("14M", "full", 4, 256, accumulation=2),
    Configuration("14M", "lora", 8, 512),
    Configuration("14M", "lora", 4, 1024, checkpointing=True),
    Configuration("14M", "dora", 4, 512),
    Configuration("22M", "full", 4, 512),
    Configuration("22M", "lora", 4, 512),
    Configuration("29M", "full", 2, 256),
    Configuration("29M", "full", 8, 512),
]
QUICK = [CONFIGURATIONS[0], CONFIGURATIONS[1], CONFIGURATIONS[3]]


@dataclass
class Result:
    """One configuration; all in bytes.

    Attributes:
        planned: the plan's terms by name, and their "total".
        peak: most that MLX's arrays took.
        resident: largest resident size of the process.
    """

    name: str
    planned: dict[str, int]
    peak: int
    resident: int

    @property
    def ratio(self) -> float:
        """Planned over measured."""
        return self.planned["total"] / self.peak


def make_workspace(root: Path) -> None:
    """A corpus, and a folder with random weights for each model."""
    from cptstudio.corpus.build import build_corpus
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    demo = Path(str(files("cptstudio") / "data" / "demo-base"))
    workspace.make(workspace.corpora)
    library = Path(sysconfig.get_path("stdlib"))
    sources = [library / f"{name}.py" for name in ("argparse", "ast", "inspect", "typing")]
    build_corpus(workspace.corpus(CORPUS), sources, model_path=demo)
    shutil.copytree(demo, workspace.base_model("demo"))
    for name, shape in _SHAPES.items():
        if shape:
            write_model(workspace.base_model(name), demo, **shape)


def write_model(
    folder: Path,
    demo: Path,
    width: int,
    layers: int,
    inner: int,
    heads: int,
    groups: int,
    words: int,
    head_size: int = _HEAD_SIZE,
) -> None:
    """A Qwen3 with random weights, with the demo model's tokenizer."""
    import numpy as np
    from safetensors.numpy import save_file

    shutil.copytree(demo, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": head_size,
        "vocab_size": words,
        "max_position_embeddings": 131_072,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    queries, keys = heads * head_size, groups * head_size
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (words, width),
        "model.norm.weight": (width,),
    }
    for layer in range(layers):
        inside = {
            "self_attn.q_proj": (queries, width),
            "self_attn.k_proj": (keys, width),
            "self_attn.v_proj": (keys, width),
            "self_attn.o_proj": (width, queries),
            "self_attn.q_norm": (head_size,),
            "self_attn.k_norm": (head_size,),
            "mlp.gate_proj": (inner, width),
            "mlp.up_proj": (inner, width),
            "mlp.down_proj": (width, inner),
            "input_layernorm": (width,),
            "post_attention_layernorm": (width,),
        }
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in inside.items()}
    random = np.random.default_rng(0)
    weights = {
        name: random.normal(0, 0.02, shape).astype(np.float32)
        if len(shape) > 1
        else np.ones(shape, np.float32)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors")


def measure(root: Path, configuration: Configuration) -> Result:
    """Plan a run and do its first steps; once in a process."""
    from cptstudio.settings import parse_settings
    from cptstudio.training import calibration
    from cptstudio.training.planning import make_plan
    from cptstudio.workspace import Workspace

    workspace, settings = Workspace(root), parse_settings(configuration.settings())
    planned = make_plan(workspace, settings).memory
    peak = calibration.measure(workspace, settings, steps=STEPS - 1, seconds=600).peak_memory
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(
        str(configuration),
        asdict(planned) | {"total": planned.total},
        peak,
        # macOS counts in bytes, Linux in KiB.
        resident * (1 if sys.platform == "darwin" else 1024),
    )


def memory_table(results: list[Result], terms: bool) -> str:
    """One line for each configuration."""
    names = list(results[0].planned)[:-1] if terms else []
    head = ["model, method, rows x context", "planned, MB", "measured, MB", "planned / measured"]
    rows = [
        [
            one.name,
            f"{one.planned['total'] / 1e6:.0f}",
            f"{one.peak / 1e6:.0f}",
            f"{one.ratio:.2f}",
            f"{one.resident / 1e6:.0f}",
            *(f"{one.planned[name] / 1e6:.0f}" for name in names),
        ]
        for one in results
    ]
    return table([*head, "resident, MB", *names], rows)


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three configurations")
    parser.add_argument("--terms", action="store_true", help="print each estimate's terms, too")
    parser.add_argument("--only", metavar="WORDS", help="those whose name holds this")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else CONFIGURATIONS
    chosen = [one for one in chosen if not arguments.only or arguments.only in str(one)]
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root)
        for configuration in chosen:
            results.append(apart(measure, root, configuration))
            print(f"{results[-1].name}: {results[-1].ratio:.2f}", flush=True)
    ratios = [one.ratio for one in results]
    print(f"\n{memory_table(results, arguments.terms)}")
    print(f"\nPlanned / measured: {min(ratios):.2f} to {max(ratios):.2f}")
    if arguments.json:
        text = json.dumps([asdict(result) for result in results], indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
