"""What a checkpoint costs: memory of a save, and the pause and slower steps that it means.

    python -m benchmarks.saves memory                 # 1.04 billion parameters, some minutes
    python -m benchmarks.saves memory --model 13M     # a small one
    python -m benchmarks.saves time                   # pause, time of a save, steps meanwhile
    python -m benchmarks.against_commit COMMIT saves  # the same before and after, in turns

Real training runs of models with random weights in bfloat16, made on the spot: full training with
Adafactor, which keeps next to nothing, so that a save has no slack in the optimizer's state to hide
in; in `time`, AdamW. The memory is MLX's, and the resident size of the whole process, sampled every
20 ms. What is measured is seen from outside, by the rows and events of a run, so that commits of
before can be measured as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.processes import apart

CORPUS = "text"
HEAD_SIZE = 64
SHAPES: dict[str, dict[str, int]] = {
    # Of about 13 million, 49 million and 1.04 billion parameters.
    "13M": {"width": 320, "layers": 8, "inner": 1024, "heads": 5, "groups": 5, "words": 4096},
    "49M": {"width": 512, "layers": 12, "inner": 2048, "heads": 8, "groups": 4, "words": 4096},
    "1B": {"width": 2048, "layers": 17, "inner": 8192, "heads": 32, "groups": 8, "words": 4096},
}


def make_model(folder: Path, demo: Path, shape: dict[str, int]) -> None:
    """Write a Qwen3 with random weights in bfloat16, with the demo model's tokenizer."""
    import mlx.core as mx
    import numpy as np

    shutil.copytree(demo, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width, inner, words = shape["width"], shape["inner"], shape["words"]
    config |= {
        "hidden_size": width,
        "num_hidden_layers": shape["layers"],
        "intermediate_size": inner,
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["groups"],
        "head_dim": HEAD_SIZE,
        "vocab_size": words,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    queries, keys = shape["heads"] * HEAD_SIZE, shape["groups"] * HEAD_SIZE
    layer = {
        "self_attn.q_proj": (queries, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, queries),
        "self_attn.q_norm": (HEAD_SIZE,),
        "self_attn.k_norm": (HEAD_SIZE,),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (words, width),
        "model.norm.weight": (width,),
        **{
            f"model.layers.{number}.{name}.weight": size
            for number in range(shape["layers"])
            for name, size in layer.items()
        },
    }
    random = np.random.default_rng(0)
    weights = {}
    for name, size in shapes.items():
        numbers: Any = np.ones(size, np.float32)
        if len(size) > 1:
            # Two digits of a number are random enough, and there in no time.
            numbers = random.integers(-50, 51, size, np.int8).astype(np.float32) / 1000
        weights[name] = mx.array(numbers).astype(mx.bfloat16)
        mx.eval(weights[name])
    mx.save_safetensors(str(folder / "model.safetensors"), weights)


def make_workspace(root: Path, model: str) -> None:
    """The model, and a corpus of the running Python's source."""
    from cptstudio.corpus.build import build_corpus
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    demo = Path(str(files("cptstudio") / "data" / "demo-base"))
    workspace.make(workspace.corpora)
    library = Path(sysconfig.get_path("stdlib"))
    build_corpus(workspace.corpus(CORPUS), [library / "argparse.py"], model_path=demo)
    workspace.make(workspace.base_models)
    make_model(workspace.base_model(model), demo, SHAPES[model])


def train(root: Path, name: str, settings: dict[str, Any]) -> Path:
    """Train a run to its end; returns its directory."""
    from cptstudio.settings import parse_settings
    from cptstudio.training.continued_pretraining import ContinuedPretraining
    from cptstudio.training.prepare import prepare_run
    from cptstudio.training.stop_requests import StopRequest
    from cptstudio.workspace import Workspace

    run, _ = prepare_run(Workspace(root), name, parse_settings(settings))
    ending = ContinuedPretraining(run, StopRequest()).run()
    if ending.outcome != "completed":
        raise SystemExit(ending.reason)
    return run


def settings_of(model: str, steps: int, every: int, optimizer: str) -> dict[str, Any]:
    """The tree of settings of a run that saves so often and measures nothing."""
    return {
        "model": {"path": model},
        "data": {"corpora": [{"name": CORPUS}], "sequence_length": 64},
        "length": f"{steps} steps",
        "method": {"kind": "full"},
        "optimizer": {"name": optimizer},
        "batch": {"size": 1},
        "evaluation": {"max_tokens": 100, "every": f"{steps} steps"},
        "checkpoints": {"every": f"{every} steps"},
    }


@dataclass(frozen=True)
class Memory:
    """Peaks in bytes, of the steps and of the save after them.

    Attributes:
        resident_steps, resident_save: of the whole process.
        checkpoint: bytes on the disk.
        seconds: of the save.
    """

    steps: int
    save: int
    resident_steps: int
    resident_save: int
    checkpoint: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"MLX: steps {self.steps / 1e9:.2f} GB, save {self.save / 1e9:.2f} GB "
            f"({self.save / self.steps - 1:+.1%}); process: steps {self.resident_steps / 1e9:.2f} "
            f"GB, save {self.resident_save / 1e9:.2f} GB "
            f"({self.resident_save / self.resident_steps - 1:+.1%}); a checkpoint of "
            f"{self.checkpoint / 1e9:.2f} GB in {self.seconds:.1f} s"
        )


def memory(root: Path, model: str) -> Memory:
    """Two steps, then a synchronous save; once in a process."""
    from cptstudio.json_lines import read_json_lines
    from cptstudio.run_files import EVENTS, METRICS, checkpoints_of, read_manifest

    settings = settings_of(model, 2, 2, "adafactor")
    settings["checkpoints"]["background"] = False
    seen: list[tuple[float, int]] = []
    ended = threading.Event()
    process = psutil.Process()

    def sample() -> None:
        while not ended.wait(0.02):
            seen.append((time.time(), process.memory_info().rss))

    sampling = threading.Thread(target=sample, daemon=True)
    sampling.start()
    run = train(root, f"memory-{model}", settings)
    ended.set()
    sampling.join()
    rows = [row for row in read_json_lines(run / METRICS).records if row["kind"] == "train"]
    (saved,) = [
        event for event in read_json_lines(run / EVENTS).records if event["event"] == "checkpoint"
    ]
    last = rows[-1]["time"]
    manifest = read_manifest(checkpoints_of(run)[-1])
    return Memory(
        max(row["memory_peak"] for row in rows),
        saved["memory_peak"],
        max(size for at, size in seen if at <= last),
        max(size for at, size in seen if at > last),
        sum(file.size for file in manifest.files.values()),
        saved["seconds"],
    )


def times(
    root: Path,
    model: str = "13M",
    saves: int = 3,
    between: int = 8,
    changes: dict[str, Any] | None = None,
) -> dict[str, float]:
    """What saves cost a run with AdamW, seconds; once in a process.

    Args:
        changes: settings' sections in place of those that this harness takes.
    """
    from cptstudio.json_lines import read_json_lines
    from cptstudio.run_files import EVENTS, METRICS

    steps = saves * between + between // 2
    name = f"times-{time.time_ns()}"
    run = train(root, name, settings_of(model, steps, between, "adamw") | (changes or {}))
    rows = [row for row in read_json_lines(run / METRICS).records if row["kind"] == "train"]
    committed = {
        event["step"]: event["time"]
        for event in read_json_lines(run / EVENTS).records
        if event["event"] == "checkpoint"
    }
    shutil.rmtree(run)
    pauses: list[float] = []
    lasted: list[float] = []
    meanwhile: list[float] = []
    alone: list[float] = []
    for row, following in itertools.pairwise(rows):
        if row["step"] % between == 0:
            pauses.append(following["time"] - row["time"] - following["step_seconds"])
            lasted.append(committed[row["step"]] - row["time"])
    for row in rows[2:]:
        began = row["time"] - row["step_seconds"]
        saving = any(
            began < committed[saved["step"]] and row["time"] > saved["time"]
            for saved in rows
            if saved["step"] in committed and saved["step"] % between == 0
        )
        (meanwhile if saving else alone).append(row["step_seconds"])
    found = {
        "a step, s": statistics.median(alone),
        "the pause of a save, s": statistics.median(pauses),
        "until a save is committed, s": statistics.median(lasted),
        "all steps and saves, s": rows[-1]["time"] - rows[2]["time"],
    }
    if meanwhile:
        found["a step while a save is written, s"] = statistics.median(meanwhile)
        found["a mean step while a save is written, s"] = statistics.fmean(meanwhile)
        found["a mean step, s"] = statistics.fmean(alone)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("memory", "time"))
    parser.add_argument("--model", choices=SHAPES)
    options = parser.parse_args()
    model = options.model or ("1B" if options.what == "memory" else "13M")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        apart(make_workspace, root, model)
        if options.what == "memory":
            print(f"{model}: {apart(memory, root, model)}")
        else:
            for what, seconds in apart(times, root, model).items():
                print(f"{what}: {seconds:.3f}")


if __name__ == "__main__":
    main()
