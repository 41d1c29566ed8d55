"""The parts of `benchmarks.gpu_check`: models of random weights, and what is measured on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

MODELS: dict[str, dict[str, Any]] = {
    # https://huggingface.co/unsloth/Llama-3.2-1B and Qwen/Qwen3-0.6B, config.json of each.
    "llama-1b": {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "vocab_size": 128_256, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "vocab_size": 151_936, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
    },
}  # fmt: skip
SHARED = {"tie_word_embeddings": True, "max_position_embeddings": 32_768, "torch_dtype": "bfloat16"}
TINY = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 4096,
}  # fmt: skip
CORPUS = "text"
PARTIAL = "CPTSTUDIO_GPU_CHECK_PARTIAL"
"""Names the file of what a part has found so far, in the environment of its process."""
MADE = "models"


@dataclass(frozen=True)
class Scale:
    """How much is done: all of it, or as much as shows that the script works."""

    small: bool

    @property
    def rows(self) -> int:
        return 2 if self.small else 4

    @property
    def contexts(self) -> tuple[int, int]:
        return (64, 128) if self.small else (2048, 8192)

    @property
    def rounds(self) -> int:
        return 1 if self.small else 5

    @property
    def steps(self) -> int:
        return 8 if self.small else 300

    @property
    def prompts(self) -> tuple[int, ...]:
        return (16,) if self.small else (16, 1024)

    @property
    def tokens(self) -> int:
        return 4 if self.small else 128


@dataclass(frozen=True)
class Part:
    """One thing that is measured, in a process of its own.

    Attributes:
        seconds: its budget; on a GPU of a Mac more may be needed, see --patience.
        work: gets the workspace's folder; what it returns is kept as JSON.
    """

    name: str
    seconds: float
    work: Callable[[Path], dict[str, Any]]


def keep(found: dict[str, Any]) -> None:
    """Keep what was found so far, for when the part's time runs out."""
    target = Path(os.environ[PARTIAL]) if PARTIAL in os.environ else None
    if target is not None:
        staged = target.with_suffix(".new")
        staged.write_text(json.dumps(found), encoding="utf-8")
        staged.replace(target)


def parts(scale: Scale) -> list[Part]:
    """All parts, in their order."""
    short, long = scale.contexts
    # The seconds of steps hold the compilation of their kernels, 13 to 30 s on an H200.
    found = [Part(MADE, 90, partial(make_workspace, scale)), Part("machine", 30, machine)]
    for blocks in (True, False):
        work = partial(resume, scale, "lora", blocks)
        name = f"resume qwen3-0.6b lora{' attention in blocks' * blocks}"
        found.append(Part(name, 240, work))
    found.append(Part("saves qwen3-0.6b full", 150, partial(saves, scale)))
    for context in (short, long):
        for checkpointing in (False, True):
            for method in ("lora", "full"):
                work = partial(memory, "qwen3-0.6b", method, context, checkpointing)
                name = f"memory qwen3-0.6b {method} {context}{' checkpointing' * checkpointing}"
                found.append(Part(name, 75, work))
    for model, method in (("llama-1b", "lora"), ("llama-1b", "qlora"), ("llama-1b", "full"),
                          ("qwen3-0.6b", "lora"), ("qwen3-0.6b", "full")):  # fmt: skip
        work = partial(step, scale, model, method)
        found.append(Part(f"step {model} {method}", 120, work))
    for method in ("full", "lora"):
        for blocks in (False, True):
            work = partial(bits, scale, method, blocks)
            name = f"bits qwen3-0.6b {method}{' attention in blocks' * blocks}"
            found.append(Part(name, 60, work))
    found.append(Part("scatter", 30, partial(scatter, scale)))
    found.append(Part("out of memory", 60, partial(out_of_memory, scale)))
    found += [Part(f"text {model}", 40, partial(text, scale, model)) for model in MODELS]
    work = partial(memory, "qwen3-0.6b", "lora", 4 * long, True)
    found.append(Part(f"memory qwen3-0.6b lora {4 * long} checkpointing", 75, work))
    return found


# --- the workspace ---------------------------------------------------------------------------


def make_workspace(scale: Scale, root: Path) -> dict[str, Any]:
    """Models of random weights and a corpus; what is there stays."""
    from benchmarks.plan_memory import make_workspace as with_corpus
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    if not workspace.corpus(CORPUS).exists():
        with_corpus(root)
    sizes: dict[str, Any] = {}
    for name, shape in MODELS.items():
        folder = workspace.base_model(name)
        weights = folder / "model.safetensors"
        if not weights.exists():
            config = shape | SHARED | (TINY if scale.small else {})
            write_model(folder, workspace.base_model("demo"), config)
        sizes[name] = f"{weights.stat().st_size / 1e6:.0f} MB"
    return sizes


def write_model(folder: Path, tokenizer: Path, config: dict[str, Any]) -> None:
    """A folder as published, with random weights and another model's tokenizer."""
    import mlx.core as mx
    from mlx_lm.utils import _get_classes

    from cptstudio.lm.parameters import named_parameters

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tokenizer, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    own = json.loads((tokenizer / "config.json").read_text(encoding="utf-8"))
    kept = {key: own[key] for key in ("bos_token_id", "eos_token_id") if key in own}
    (folder / "config.json").write_text(json.dumps(kept | config), encoding="utf-8")
    network, arguments = _get_classes(config=config)
    mx.random.seed(0)
    model = network(arguments.from_dict(config))
    weights = {
        # Matrices of the size that training begins with; as initialized, norms are one.
        name: (value if value.ndim < 2 else mx.random.normal(value.shape) * 0.02).astype(
            mx.bfloat16
        )
        for name, value in named_parameters(model).items()
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


def settings_of(model: str, method: str, rows: int, context: int, **more: Any) -> Any:
    """A run's settings."""
    from cptstudio.settings import parse_settings

    return parse_settings(
        {
            "model": {"path": model},
            "data": {"corpora": [{"name": CORPUS}], "sequence_length": context},
            "length": "5 steps",
            "method": {"kind": method, **({"rank": 16} if method != "full" else {})},
            "batch": {"size": rows, "gradient_accumulation_steps": 1},
            "evaluation": {"max_tokens": 500},
            **more,
        }
    )


# --- the parts -------------------------------------------------------------------------------


def machine(root: Path) -> dict[str, Any]:
    """The device and the versions."""
    import mlx.core as mx

    from cptstudio.lm import blas
    from cptstudio.lm.long_contexts import has_fused_gradient
    from cptstudio.training.machine import installed_versions

    fused = {}
    for size in (48, 64, 80, 96, 128, 192, 256):
        one = mx.zeros((1, 1, 1, size), mx.bfloat16)
        fused[f"heads of {size}"] = has_fused_gradient(one, one, one)
    device = mx.default_device()
    info = mx.device_info() if device.type == mx.DeviceType.gpu else {}
    name = str(info.get("device_name") or info.get("architecture") or "a CPU")
    return {
        "device": f"{device.type.name}: {name}",
        "memory": memory_in(info),
        "versions": installed_versions(),
        "products": blas.use_fast_blas().reason,
        "fused attention's gradient": fused,
        "it is switched off": os.environ.get("MLX_SDPA_VJP_FALLBACK"),
    }


def memory_in(info: dict[str, Any]) -> int:
    """Bytes that a device has, by what MLX tells of it: CUDA and Metal name them differently."""
    return int(info.get("total_memory", info.get("memory_size", 0)))


def quantized(workspace: Any, model: str) -> str:
    """The name of a model's copy in 4 bits, which is made where it is missing."""
    from mlx_lm.utils import load_model, quantize_model, save_config, save_model

    name = f"{model}-4bit"
    folder = workspace.base_model(name)
    if not folder.exists():
        full = workspace.base_model(model)
        network, config = load_model(full, lazy=True)
        network, config = quantize_model(network, config, group_size=64, bits=4)
        shutil.copytree(full, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        save_model(folder, network)
        save_config(config, folder / "config.json")
    return name


def _first_update(order: Any, rows: int) -> Any:
    """The micro-batch of an update of so many rows."""
    return next(order.micro_batches(0, order.batches_per_update, rows))


def step(scale: Scale, model: str, method: str, root: Path) -> dict[str, Any]:
    """Seconds of mlx-lm's step, of ours, and of ours in parts, in turns; what the host does."""
    import mlx.core as mx
    import numpy as np
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    from benchmarks.steps.both import stock_step
    from cptstudio.training.guards import Limits
    from cptstudio.training.prepare import plan_config
    from cptstudio.training.setup import set_up
    from cptstudio.training.step import TrainingStep
    from cptstudio.training.whole_step import is_whole
    from cptstudio.workspace import Workspace

    workspace, context = Workspace(root), scale.contexts[0]
    if method == "qlora":
        model = quantized(workspace, model)
    config, _ = plan_config(workspace, "check", settings_of(model, method, scale.rows, context))
    setup = set_up(config)
    ours = {"ours in parts": TrainingStep(setup, whole=False), "ours": TrainingStep(setup)}
    stock, _ = load_model(workspace.base_model(model))
    if method != "full":
        stock.freeze()
        layers = len(stock.layers)
        linear_to_lora_layers(stock, layers, {"rank": 16, "dropout": 0.0, "scale": 1.0})
    stock.train()
    theirs = stock_step(stock)
    batch = _first_update(setup.data.order, scale.rows)
    inputs, targets = (np.array(ids, dtype=np.int32) for ids in (batch.inputs, batch.targets))
    seconds: dict[str, list[float]] = {name: [] for name in ("mlx-lm", *ours)}
    host: dict[str, list[float]] = {name: [] for name in ours}
    waits: dict[str, list[int]] = {name: [] for name in ours}
    number = 0

    def two_of_theirs() -> None:
        for _ in range(2):
            theirs(inputs, targets)

    def two_of_ours(name: str) -> None:
        nonlocal number
        last = None
        for _ in range(2):
            with CountedWaits() as found:
                began = time.perf_counter()
                done = ours[name].submit(number, number % setup.length.batches, Limits())
                host[name].append(time.perf_counter() - began - found.seconds)
                waits[name].append(found.count)
            if last is not None:
                last.read()
            last, number = done, number + 1
        assert last is not None
        last.read()
        mx.eval(list(setup.parameters.values()), list(setup.optimizer.state().values()))

    for round_ in range(scale.rounds + 1):
        for name in seconds:
            began = time.perf_counter()
            two_of_theirs() if name == "mlx-lm" else two_of_ours(name)
            mx.synchronize()
            seconds[name].append((time.perf_counter() - began) / 2)
        if not round_:  # The first of each builds kernels.
            for values in (*seconds.values(), *host.values()):
                values.clear()
            for counts in waits.values():
                counts.clear()
        keep({"seconds": seconds, "host seconds a step": host})
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "tokens": scale.rows * context,
        "seconds": seconds,
        "mlx-lm over ours": middle["mlx-lm"] / middle["ours"],
        "one function": is_whole(setup),
        "in parts over ours": middle["ours in parts"] / middle["ours"],
        "host seconds a step": {name: statistics.median(values) for name, values in host.items()},
        "waits in submitting a step": {
            name: statistics.median(values) for name, values in waits.items()
        },
    }


class CountedWaits:
    """How often `mx.eval` is called while it lasts, and for how long."""

    def __enter__(self) -> CountedWaits:
        import mlx.core as mx

        self.count, self.seconds, self._eval = 0, 0.0, mx.eval

        def waiting(*arguments: Any) -> None:
            began = time.perf_counter()
            self._eval(*arguments)
            self.count += 1
            self.seconds += time.perf_counter() - began

        mx.eval = waiting
        return self

    def __exit__(self, *_: object) -> None:
        import mlx.core as mx

        mx.eval = self._eval


def bits(scale: Scale, method: str, blocks: bool, root: Path) -> dict[str, Any]:
    """Which gradients and which results of one step differ between three computations of it.

    With fused attention of cuDNN those of the last layer's queries do, and all below.
    """
    import mlx.core as mx
    import numpy as np

    from cptstudio.lm.parameters import flatten
    from cptstudio.training.prepare import plan_config
    from cptstudio.training.setup import set_up
    from cptstudio.workspace import Workspace

    rows, context, how = scale.rows, scale.contexts[0], {"long_attention": blocks}
    settings = settings_of("qwen3-0.6b", method, rows, context, compute=how)
    config, _ = plan_config(Workspace(root), "check", settings)
    setup = set_up(config)
    batch = _first_update(setup.data.order, scale.rows)

    def compute() -> dict[str, int]:
        nats, _, gradients = setup.gradient_step(batch.inputs, batch.targets, batch.mask, seed=1)
        found = {"loss": nats, **flatten(gradients)}
        mx.eval(found)
        # A sum of the bits as integers, computed on the device; order does not change it.
        sums = {
            name: (value.view(mx.uint32 if value.itemsize == 4 else mx.uint16)).astype(mx.uint64)
            for name, value in found.items()
        }
        positions = {name: value.reshape(-1) for name, value in sums.items()}
        weighed = {
            name: (value * mx.arange(1, value.size + 1, dtype=mx.uint64)).sum()
            for name, value in positions.items()
        }
        mx.eval(weighed)
        return {name: int(np.array(value)) for name, value in weighed.items()}

    first, *others = [compute() for _ in range(3)]
    different = sorted({name for other in others for name in first if first[name] != other[name]})
    return {"arrays": len(first), "different": different}


def scatter(scale: Scale, root: Path) -> dict[str, Any]:
    """An embedding's gradient: MLX's scatter-add against sums over sorted ids."""
    import mlx.core as mx

    from cptstudio.lm.embedding_gradient import sorted_sums

    def in_order() -> mx.array:
        places, sums = sorted_sums(ids, above)
        return mx.zeros((rows, width)).at[places].add(sums)

    rows, width = (4096, 64) if scale.small else (151_936, 1024)
    tokens = scale.rows * scale.contexts[0]
    ids = (mx.random.uniform(shape=(tokens,), key=mx.random.key(0)) ** 4 * rows).astype(mx.int32)
    above = mx.random.normal((tokens, width), key=mx.random.key(1))
    mx.eval(ids, above)
    ways = {
        "scatter-add": lambda: mx.zeros((rows, width)).at[ids].add(above),
        "sorted sums": in_order,
    }
    found: dict[str, Any] = {}
    results: dict[str, list[mx.array]] = {name: [] for name in ways}
    for _ in range(3 + scale.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            value = way()
            mx.eval(value)
            mx.synchronize()
            found.setdefault(f"{name}, seconds", []).append(time.perf_counter() - began)
            results[name] = [*results[name][-2:], value]
    for name, values in results.items():
        found[f"{name}, same bits"] = all(
            mx.array_equal(values[0], value).item() for value in values[1:]
        )
    one, other = (values[0] for values in results.values())
    found["largest difference"] = mx.abs(one - other).max().item()
    return found


def memory(
    model: str, method: str, context: int, checkpointing: bool, root: Path
) -> dict[str, Any]:
    """The plan's bytes and the measured peak of a run with one row."""
    from cptstudio.training import calibration
    from cptstudio.training.planning import make_plan
    from cptstudio.workspace import Workspace

    compute = {"gradient_checkpointing": checkpointing}
    settings = settings_of(model, method, 1, context, compute=compute)
    workspace = Workspace(root)
    planned = make_plan(workspace, settings).memory.total
    keep({"planned": planned})
    measured = calibration.measure(workspace, settings, steps=2, seconds=20)
    return {
        "planned": planned,
        "measured": measured.peak_memory,
        "planned over measured": planned / measured.peak_memory,
        "tokens a second": measured.tokens_per_second,
    }


def resume(scale: Scale, method: str, blocks: bool, root: Path) -> dict[str, Any]:
    """Whether a run that was killed and resumed has the rows of one that was not."""
    from cptstudio.run_rows import TRAIN, current_rows
    from cptstudio.training.prepare import prepare_run
    from cptstudio.workspace import Workspace

    context = scale.contexts[0] // 4
    every = max(2, scale.steps // 6)
    more: dict[str, Any] = {"length": f"{scale.steps} steps"}
    more |= {"checkpoints": {"every": f"{every} steps"}, "compute": {"long_attention": blocks}}
    settings = settings_of("qwen3-0.6b", method, scale.rows, context, **more)
    losses: dict[str, list[Any]] = {}
    killed_at = 0
    began = time.perf_counter()
    for name in ("whole", "killed"):
        shutil.rmtree(Workspace(root).run(name), ignore_errors=True)
        run, _ = prepare_run(Workspace(root), name, settings)
        command = [sys.executable, "-m", "cptstudio.training.continued_pretraining", str(run)]
        with (run.parent / f"{name}.log").open("w") as log:
            if name == "killed":
                process = subprocess.Popen(command, stdout=log, stderr=log)
                # Behind a checkpoint, so that rows are lost and made again.
                while not behind_a_checkpoint(run) and process.poll() is None:
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed_at = len(rows_of(run))
                command.append("--resume")
            subprocess.run(command, stdout=log, stderr=log, check=True)
        current = current_rows(rows_of(run))
        losses[name] = [
            (row["step"], row["loss"], row["gradient_norm"])
            for row in current
            if row["kind"] == TRAIN
        ]
        keep({f"{name}, seconds": time.perf_counter() - began, "rows when killed": killed_at})
    different = [a[0] for a, b in zip(*losses.values(), strict=True) if a != b]
    return {
        "steps": [len(rows) for rows in losses.values()],
        "rows when killed": killed_at,
        "first different step": different[0] if different else None,
        "different steps": len(different),
        "seconds": time.perf_counter() - began,
    }


def behind_a_checkpoint(run: Path) -> bool:
    """Whether a run has gone on after its first checkpoint."""
    saved = [int(path.parent.name[-8:]) for path in run.glob("checkpoints/step-*/manifest.json")]
    return bool(saved) and rows_of(run)[-1].get("step", 0) > saved[0]


def rows_of(run: Path) -> list[dict[str, Any]]:
    """What the run has recorded so far."""
    from cptstudio.json_lines import read_json_lines
    from cptstudio.run_files import METRICS

    path = run / METRICS
    return read_json_lines(path).records if path.exists() else []


def saves(scale: Scale, root: Path) -> dict[str, Any]:
    """What background saves cost, by copies on the device and by arrays where they lie."""
    from benchmarks.saves import times
    from cptstudio.lm import saving
    from cptstudio.lm.tensor_writing import memory_is_apart

    changes = {
        "data": {"corpora": [{"name": CORPUS}], "sequence_length": scale.contexts[0]},
        "batch": {"size": scale.rows, "gradient_accumulation_steps": 1},
    }
    found: dict[str, Any] = {"apart": memory_is_apart()}
    for name, apart in (("copies", memory_is_apart), ("where they lie", lambda: False)):
        vars(saving)["memory_is_apart"] = apart
        found[name] = times(root, "qwen3-0.6b", 2, 4 if scale.small else 50, changes)
        keep(found)
    return found


def out_of_memory(scale: Scale, root: Path) -> dict[str, Any]:
    """How a run ends that needs half as much again as the device has."""
    import mlx.core as mx

    from cptstudio.training.planning import make_plan
    from cptstudio.training.prepare import prepare_run
    from cptstudio.workspace import Workspace

    gpu = mx.default_device().type == mx.DeviceType.gpu
    memory = memory_in(mx.device_info() if gpu else {})
    if not memory:
        return {"not done": "the device tells no memory of its own"}
    workspace, rows = Workspace(root), 8
    compute = {"gradient_checkpointing": False}
    while True:
        settings = settings_of("qwen3-0.6b", "full", rows, scale.contexts[0], compute=compute)
        if make_plan(workspace, settings).memory.total > 1.5 * memory:
            break
        rows *= 2
    shutil.rmtree(workspace.run("too-large"), ignore_errors=True)
    run, _ = prepare_run(workspace, "too-large", settings)
    command = [sys.executable, "-m", "cptstudio.training.continued_pretraining", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = run / "result.json"
    return {
        "rows": rows,
        "memory": memory,
        "exit": done.returncode,
        "result": json.loads(result.read_text()) if result.exists() else None,
        "said": (done.stdout + done.stderr)[-1500:],
    }


def text(scale: Scale, model: str, root: Path) -> dict[str, Any]:
    """Seconds to the first token and tokens a second after it, of the inference worker."""
    from cptstudio.evaluation.inference import InferenceWorker
    from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
    from cptstudio.evaluation.references import ModelReference
    from cptstudio.workspace import Workspace

    found: dict[str, Any] = {}
    with InferenceWorker() as worker:
        worker.load([ModelReference("model", Workspace(root).base_model(model))])
        for length in scale.prompts:
            ask = Complete(
                labels=("model",),
                prompts=(Prompt(tokens=tuple(3 + n * 37 % 300 for n in range(length))),),
                sampling=Sampling(max_tokens=scale.tokens),
            )
            for _ in range(scale.rounds + 1):
                answer = worker.result(ask)["texts"][0]
                own = found.setdefault(f"prompt of {length}", {"first token": [], "a second": []})
                own["first token"].append(answer["first_token_seconds"])
                own["a second"].append(answer["tokens_per_second"])
            for values in found[f"prompt of {length}"].values():
                del values[0]
    return found
