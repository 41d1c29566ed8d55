"""Runs one peer in its own environment and counts what it does. Started by `processes`.

It calls the peer as its users do and touches it in one place: the peer's own batches of one
epoch are collected and counted exactly, and a systematic sample of them (evenly spaced when
sorted by width) is trained, with the clock read between steps. Everything inside a step is the
peer's own. Tokenising and batching are not timed, which favours the peer.

The peer's interpreter runs this file; it imports nothing of this project but the replacement of
the BLAS, when asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Job = dict[str, Any]
ENOUGH_STEPS = 1_000_000


class MeasuredEnough(BaseException):
    """Ends a training loop from within its own batches; no handler of errors catches it."""


@dataclass(frozen=True)
class Batch:
    """One of the peer's batches.

    Attributes:
        content: what the peer's iterator gave.
        width: tokens in a row, padding included.
        lengths: real tokens of each row.
    """

    content: Any
    width: int
    lengths: list[int]

    @property
    def useful(self) -> int:
        """Real tokens that are predicted from a token before them.

        mlx-lm and those built on it count one more for a padded row: their mask reaches the
        first token of the padding.
        """
        return sum(length - 1 for length in self.lengths)

    @property
    def positions(self) -> int:
        """Targets computed, real or not."""
        return len(self.lengths) * (self.width - 1)


class Clock:
    """Hands out the sample and records how long each of its steps took."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.epoch: dict[str, int] = {}
        self.steps: list[dict[str, float]] = []
        self.sample: list[Batch] = []
        self.began: float | None = None
        self.ready = 0.0

    def collect(self, epoch: list[Batch]) -> None:
        """Count the peer's epoch and choose the sample."""
        self.epoch = {
            "batches": len(epoch),
            "rows": sum(len(batch.lengths) for batch in epoch),
            "tokens": sum(sum(batch.lengths) for batch in epoch),
            "useful": sum(batch.useful for batch in epoch),
            "positions": sum(batch.positions for batch in epoch),
        }
        by_width = sorted(epoch, key=lambda batch: batch.width)
        count = int(self.job["steps"])
        chosen = [by_width[int((i + 0.5) * len(by_width) / count)] for i in range(count)]
        random.Random(self.job["seed"]).shuffle(chosen)
        # The widest goes first: it makes the kernels and the memory that later steps reuse. Where
        # a step takes half a minute, growing the memory is a few hundredths of it, and the
        # narrowest is enough.
        first = by_width[0 if self.job["short_warmup"] else -1]
        self.sample = [first] * int(self.job["warmup"]) + chosen
        self.ready = time.time()

    def next_batch(self) -> Batch:
        """Close the step that runs and begin the next one, or end the training."""
        if self.began is not None:
            batch = self.sample[len(self.steps)]
            seconds = time.perf_counter() - self.began
            step = {"seconds": seconds, "useful": batch.useful, "positions": batch.positions}
            self.steps.append({**step, "width": batch.width})
        if len(self.steps) == len(self.sample):
            raise MeasuredEnough
        self.began = time.perf_counter()
        return self.sample[len(self.steps)]


def counted_batches(clock: Clock, iterate: Callable[..., Any], endless: str) -> Callable[..., Any]:
    """The peer's `iterate_batches`, counted.

    Args:
        clock: takes the counts.
        iterate: the peer's own.
        endless: its argument that makes it go on after an epoch. A call without it is an
            evaluation, which gets one batch and is not counted.
    """

    def batches(*args: Any, **kwargs: Any) -> Iterator[Any]:
        if not kwargs.get(endless):
            yield next(iter(iterate(*args, **kwargs)))
            return
        if not clock.sample:
            epoch = []
            for content in iterate(*args, **{**kwargs, endless: False}):
                tokens, ends = content
                lengths = [end for _, end in ends.tolist()]
                epoch.append(Batch(content, int(tokens.shape[1]), lengths))
            clock.collect(epoch)
        while True:
            yield clock.next_batch().content

    return batches


def common_settings(job: Job) -> dict[str, Any]:
    """What mlx-lm and mlx-lm-lora both call by the same names."""
    return {
        "model": job["model"],
        "train": True,
        "data": job["data"],
        "seed": job["seed"],
        "num_layers": -1,
        "batch_size": job["batch"],
        "iters": ENOUGH_STEPS,
        "learning_rate": job["learning_rate"],
        "steps_per_report": ENOUGH_STEPS,
        "save_every": ENOUGH_STEPS,
        "max_seq_length": job["context"],
        "adapter_path": str(Path(job["work"]) / "adapters"),
        "optimizer": "adamw",
        "optimizer_config": {"adamw": {"betas": [0.9, 0.95], "weight_decay": 0.1}},
        "lora_parameters": {"rank": job["rank"], "dropout": 0.0, "scale": 2.0},
    }


def command_line(job: Job, settings: dict[str, Any]) -> list[str]:
    """Arguments that read the settings from a file, JSON being YAML."""
    path = Path(job["work"]) / "settings.yaml"
    path.write_text(json.dumps(settings))
    return ["--config", str(path)]


def run_mlx_lm(job: Job, clock: Clock) -> None:
    """`mlx_lm.lora --config settings.yaml`."""
    from mlx_lm.tuner import trainer

    lora: Any = importlib.import_module("mlx_lm.lora")
    train = lora.train
    batches = counted_batches(clock, trainer.iterate_batches, endless="loop")
    lora.train = lambda **given: train(iterate_batches=batches, **given)
    settings = common_settings(job) | {"fine_tune_type": job["method"]}
    sys.argv = ["mlx_lm.lora", *command_line(job, settings)]
    lora.main()


def run_mlx_lm_lora(job: Job, clock: Clock) -> None:
    """`mlx_lm_lora.train --config settings.yaml`."""
    from mlx_lm_lora import train as program
    from mlx_lm_lora.trainer import sft_trainer

    core: Any = importlib.import_module("mlx.core")
    if "max_recommended_working_set_size" not in core.device_info() and not job["unaided"]:
        # Without Metal there is no such limit, and the trainer stops with a KeyError.
        known = core.device_info()
        core.device_info = lambda: {**known, "max_recommended_working_set_size": 0}
        core.set_wired_limit = lambda limit: 0
    train = program.train_sft
    batches = counted_batches(clock, sft_trainer.iterate_batches, endless="train")
    program.train_sft = lambda **given: train(iterate_batches=batches, **given)
    settings = common_settings(job) | {"train_type": job["method"]}
    sys.argv = ["mlx_lm_lora.train", *command_line(job, settings)]
    program.main()


def run_mlx_tune(job: Job, clock: Clock) -> None:
    """`CPTTrainer` on a `FastLanguageModel`."""
    from mlx_lm.tuner import trainer as mlx_lm_trainer
    from mlx_tune import CPTConfig, CPTTrainer, FastLanguageModel, cpt_trainer

    train = cpt_trainer.mlx_train
    batches = counted_batches(clock, mlx_lm_trainer.iterate_batches, endless="loop")
    cpt_trainer.mlx_train = lambda **given: train(iterate_batches=batches, **given)
    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=job["model"], max_seq_length=job["context"]
    )
    if job["method"] == "lora":
        model = FastLanguageModel.get_peft_model(model, r=job["rank"], lora_alpha=2 * job["rank"])
    lines = (Path(job["data"]) / "train.jsonl").read_text(encoding="utf-8").splitlines()
    configuration = CPTConfig(
        # One learning rate: the trainer's other loop, for two rates, stops with a NameError.
        embedding_learning_rate=None if job["unaided"] else job["learning_rate"],
        include_embeddings=job["method"] == "full",
        output_dir=job["work"],
        learning_rate=job["learning_rate"],
        per_device_train_batch_size=job["batch"],
        max_steps=ENOUGH_STEPS,
        weight_decay=0.1,
        logging_steps=ENOUGH_STEPS,
        save_steps=ENOUGH_STEPS,
        max_seq_length=job["context"],
    )
    CPTTrainer(
        model=model,
        tokenizer=tokenizer,
        train_dataset=[json.loads(line) for line in lines],
        args=configuration,
    ).train()


RUNS = {"mlx-lm": run_mlx_lm, "mlx-lm-lora": run_mlx_lm_lora, "mlx-tune": run_mlx_tune}


def main(path: Path) -> None:
    """Run the job in that file and write what was measured beside it."""
    started = time.time()
    job: Job = json.loads(path.read_text())
    blas = "as installed"
    if job["fast_blas"]:
        sys.path.append(job["source"])
        from cptstudio.lm.blas import use_fast_blas

        blas = use_fast_blas().reason
    clock = Clock(job)
    with contextlib.suppress(MeasuredEnough):
        RUNS[job["package"]](job, clock)
    import mlx.core as mx

    result = {
        "blas": blas,
        "start_seconds": clock.ready - started,
        "warmup": job["warmup"],
        "epoch": clock.epoch,
        "steps": clock.steps,
        "mlx_peak_bytes": mx.get_peak_memory(),
        "versions": {
            name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm", job["package"])
        },
    }
    Path(job["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
