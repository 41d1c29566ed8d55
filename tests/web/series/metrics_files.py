"""Metrics files as a trainer writes them, without training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cptstudio.durable import dump_json


def train_row(seq: int, step: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "seq": seq,
        "session": 0,
        "kind": "train",
        "step": step,
        "time": 1.79e9 + step,
        "loss": 2 + math.sin(step / 7) / 10,
        "learning_rate": 1e-4,
        "gradient_norm": 1.25,
        "tokens": 64,
        "tokens_seen": 64 * step,
        "elapsed": step * 0.5,
        "step_seconds": 0.5,
        "tokens_per_second": 128.0,
        "memory_process": 110235648,
    }
    return row | changes


def evaluation_row(seq: int, step: int, domain: Any = 1.5, **changes: Any) -> dict[str, Any]:
    row = {
        "seq": seq,
        "session": 0,
        "kind": "evaluation",
        "step": step,
        "tokens_seen": 64 * step,
        "elapsed": step * 0.5,
        "corpora": {"code": {"role": "domain", "bits_per_byte": domain, "loss": 2.0}},
        "domain_bits_per_byte": domain,
        "general_bits_per_byte": 1.1,
        "best": True,
    }
    return row | changes


def resume_row(seq: int, after_seq: int, step: int, session: int = 1) -> dict[str, Any]:
    return {
        "seq": seq,
        "session": session,
        "kind": "resume",
        "step": step,
        "from_step": step,
        "after_seq": after_seq,
    }


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(dump_json(row).encode() + b"\n" for row in rows)


def append(path: Path, *rows: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(lines(list(rows)))


def write_many(path: Path, count: int, spike_at: int | None = None, spike: float = 50.0) -> None:
    """Training rows 1 to `count`; quick enough for hundreds of thousands."""
    template = json.dumps(train_row(0, 0) | {"seq": "SEQ", "step": "SEQ", "loss": "LOSS"})
    template = template.replace('"SEQ"', "%d", 2).replace('"LOSS"', "%r")
    template = template.replace('"tokens_seen": 0', '"tokens_seen": %d')
    template = template.replace('"elapsed": 0.0', '"elapsed": %r')
    with path.open("w") as file:
        for step in range(1, count + 1):
            loss = spike if step == spike_at else 2 + math.sin(step / 700) / 10
            file.write(template % (step, step, loss, 64 * step, step * 0.5) + "\n")
