"""The product's own step gives the losses of PyTorch's and of mlx-lm's trainer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.optimizers
import numpy as np
import pytest
from mlx.utils import tree_flatten
from tokenizers import Tokenizer

from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.loading import load_for_training
from cptstudio.lm.methods import AppliedMethod, apply_method
from cptstudio.lm.parameters import trainable_parameters
from cptstudio.settings import MethodSettings, OptimizerSettings
from cptstudio.training.optimizers import Optimizer, TrainedParameters, clip_factor
from cptstudio.training.schedules import Schedule
from tests.toy_models import import_torch, make_toy_model, text_sample

pytestmark = pytest.mark.slow

STEPS = 50
WARMUP = 5
PEAK_RATE = 3e-3
LENGTH = 32

MicroBatch = tuple[np.ndarray, np.ndarray]


def text_batches(folder: Path, steps: int, rows: tuple[int, ...]) -> list[list[MicroBatch]]:
    """For each step micro-batches of real text with these numbers of rows: inputs, targets."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids: list[int] = []
    for text in text_sample():
        ids.extend(tokenizer.encode(text, add_special_tokens=False).ids)
    size = LENGTH + 1
    assert len(ids) > steps * sum(rows) * size
    stream = np.array(ids, dtype=np.int32)
    position, batches = 0, []
    for _ in range(steps):
        batch = []
        for count in rows:
            block = stream[position : position + count * size].reshape(count, size)
            batch.append((block[:, :-1], block[:, 1:]))
            position += count * size
        batches.append(batch)
    return batches


def train_here(
    model: Any,
    method: AppliedMethod,
    settings: OptimizerSettings,
    schedule: Schedule,
    batches: list[list[MicroBatch]],
) -> list[float]:
    """Losses of the product's gradient step, optimizer and schedule."""
    gradient_step = GradientStep(model)
    parameters = TrainedParameters(model)
    optimizer = Optimizer(
        parameters,
        settings,
        treatments=method.treatments,
        embeddings=method.embeddings,
        compile=False,
    )
    losses = []
    for index, batch in enumerate(batches):
        total, count = mx.array(0.0), 0
        gradients: dict[str, mx.array] = {}
        for inputs, targets in batch:
            nats, counted, tree = gradient_step(inputs, targets)
            total, count = total + nats, count + counted
            for name, value in tree_flatten(tree):
                gradients[name] = gradients[name] + value if name in gradients else value
        norm = optimizer.gradient_norm(gradients) / count
        optimizer.update(
            parameters,
            gradients,
            rate=schedule(index),
            scale=clip_factor(norm, settings.clip_norm) / count,
        )
        losses.append((total / count).item())
    return losses


def train_in_pytorch(
    folder: Path,
    embeddings: frozenset[str],
    settings: OptimizerSettings,
    schedule_kind: str,
    batches: list[list[MicroBatch]],
) -> list[float]:
    """Losses of transformers' network under torch.optim.AdamW, in float32 on the CPU."""
    from transformers import AutoModelForCausalLM

    torch = import_torch()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.train()
    named = dict(model.named_parameters())
    decayed = [n for n, value in named.items() if value.ndim > 1 and n not in embeddings]
    optimizer = torch.optim.AdamW(
        [
            {"params": [named[n] for n in decayed], "weight_decay": settings.weight_decay},
            {"params": [p for n, p in named.items() if n not in decayed], "weight_decay": 0.0},
        ],
        lr=1.0,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
    )
    losses = []
    for index, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * reference_rate(schedule_kind, index)
        optimizer.zero_grad()
        count = sum(targets.size for _, targets in batch)
        total = 0.0
        for inputs, targets in batch:
            logits = model(torch.tensor(inputs)).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), torch.tensor(targets).long().flatten(), reduction="sum"
            )
            (loss / count).backward()
            total += loss.item()
        if settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        losses.append(total / count)
    return losses


def reference_rate(kind: str, index: int) -> float:
    """Linear warm-up over WARMUP updates, then half a cosine to zero over the rest."""
    if kind == "constant":
        return 1.0
    if index < WARMUP:
        return (index + 1) / (WARMUP + 1)
    return 0.5 * (1 + math.cos(math.pi * (index - WARMUP) / (STEPS - WARMUP)))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("llama", (4,)),
        ("qwen3", (4,)),
        ("llama-tied", (3, 1)),
        ("gemma3", (2, 2)),
        ("mixtral", (4,)),
        ("gpt_neox", (4,)),
    ],
)
def test_fifty_steps_equal_pytorch(tmp_path: Path, name: str, rows: tuple[int, ...]) -> None:
    folder = make_toy_model(name, tmp_path / name)
    batches = text_batches(folder, STEPS, rows)
    settings = OptimizerSettings(learning_rate=PEAK_RATE)
    loaded = load_for_training(folder)
    method = apply_method(loaded, MethodSettings(kind="full"))
    schedule = Schedule("cosine", total_steps=STEPS, warmup_steps=WARMUP)
    ours = train_here(loaded.model, method, settings, schedule, batches)
    # gpt_neox is the one whose parameters mlx-lm renames.
    embeddings = frozenset(
        {"gpt_neox.embed_in.weight", "embed_out.weight", "lm_head.weight"}
        if name == "gpt_neox"
        else method.embeddings
    )
    theirs = train_in_pytorch(folder, embeddings, settings, "cosine", batches)
    assert ours[-1] < ours[0] - 0.5
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


class _Losses:
    """What mlx-lm's trainer reports."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_loss_report(self, report: dict[str, Any]) -> None:
        self.values.append(report["train_loss"])

    def on_val_loss_report(self, report: dict[str, Any]) -> None:
        raise AssertionError("no validation was asked for")


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_twenty_steps_equal_mlx_lm_s_own_trainer(tmp_path: Path, kind: str) -> None:
    """Where settings coincide: no clipping, one weight decay for all, a constant rate."""
    from mlx_lm.tuner.trainer import TrainingArgs
    from mlx_lm.tuner.trainer import train as train_in_mlx_lm

    folder = make_toy_model("qwen3", tmp_path / "qwen3")
    batches = text_batches(folder, 20, (4,))
    settings = OptimizerSettings(learning_rate=1e-3, weight_decay=0.0, clip_norm=0.0)
    loaded = load_for_training(folder, method=kind)
    method = apply_method(loaded, MethodSettings(kind=kind, rank=4))
    start = dict(trainable_parameters(loaded.model))
    ours = train_here(loaded.model, method, settings, Schedule("constant", total_steps=20), batches)

    loaded.model.update(mlx_tree(start))

    def iterate_batches(**_: Any) -> Iterator[tuple[mx.array, mx.array]]:
        for ((inputs, targets),) in batches:
            rows = np.concatenate([inputs, targets[:, -1:]], axis=1)
            yield mx.array(rows), mx.array([[0, LENGTH]] * len(rows))

    report = _Losses()
    optimizer = mlx.optimizers.AdamW(
        1e-3, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.0, bias_correction=True
    )
    mx.disable_compile()
    try:
        train_in_mlx_lm(
            loaded.model,
            optimizer,
            train_dataset=None,
            args=TrainingArgs(
                batch_size=4,
                iters=20,
                steps_per_report=1,
                max_seq_length=LENGTH + 1,
                adapter_file=str(tmp_path / "adapters.safetensors"),
            ),
            iterate_batches=iterate_batches,
            training_callback=report,
        )
    finally:
        mx.enable_compile()
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, report.values, rtol=1e-4)


def mlx_tree(parameters: dict[str, mx.array]) -> Any:
    """A flat dictionary as the nested tree that mlx modules take."""
    from mlx.utils import tree_unflatten

    return tree_unflatten(list(parameters.items()))
