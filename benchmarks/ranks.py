"""Do several ranks compute what one does? Gradients of a step, losses of many, against an envelope.

    python -m benchmarks.ranks [--steps 100] [--ranks 2 3 4] [--case NAME]

For each case, one rank trains the same rows in several ways that only change the order of sums:
cut into other micro-batches, on other numbers of threads. How far their losses part from each
other, step by step, is the envelope. Ranks may be no further away than twice that. The gradients of
a first step are compared by the optimizer's first moments, tensor by tensor.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cptstudio.run_files import checkpoints_of
from cptstudio.runs.launching import RANKS_MODULE, TRAINER_MODULE
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace, prepare
from tests.training.test_exact_resume import arrays_below
from tests.training.trainer_process import held_rows

GRADIENTS = 1e-5
"""Most that a gradient may differ by, relative to its norm."""
ROUNDING = 1e-6
"""Where an envelope is narrower than this, it is one by chance."""
MIXTURE = {"corpora": [{"name": "domain"}, {"name": "general", "role": "replay"}]}
CASES: dict[str, dict[str, Any]] = {
    "full, whole rows": {"data": MIXTURE | {"replay_share": 0.25, "sequence_length": 32}},
    "full, decomposed": {
        "data": MIXTURE | {"replay_share": 0.25, "sequence_length": 32, "packing": "decompose"}
    },
    "LoRA, dropout": {
        "data": MIXTURE | {"replay_share": 0.25, "sequence_length": 32},
        "method": {"kind": "lora", "rank": 4, "dropout": 0.2},
        # With 1e-2 the toy is chaotic after 40 steps, and everything is within the envelope.
        "optimizer": {"learning_rate": 3e-3},
    },
}
ONE_RANK: dict[str, dict[str, Any]] = {
    "3 rows twice": {"batch": {"size": 3, "gradient_accumulation_steps": 2}},
    "6 rows": {"batch": {"size": 6}},
    "1 row 6 times, 1 thread": {
        "batch": {"size": 1, "gradient_accumulation_steps": 6},
        "compute": {"threads": 1},
    },
    "2 rows 3 times, 1 thread": {
        "batch": {"size": 2, "gradient_accumulation_steps": 3},
        "compute": {"threads": 1},
    },
}


def train(workspace: Workspace, name: str, steps: int, ranks: int, changes: dict[str, Any]) -> Path:
    """Train a run to its end; returns its directory."""
    run = prepare(
        workspace,
        name,
        length=f"{steps} steps",
        checkpoints={"every": f"{steps} steps"},
        evaluation={"every": f"{max(2, steps)} steps", "max_tokens": 100},
        schedule={"kind": "constant", "warmup": "1 steps"},
        **changes,
    )
    program = [TRAINER_MODULE, str(run)]
    if ranks > 1:
        program = [RANKS_MODULE, str(run), "--ranks", str(ranks)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", *program], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} with {ranks} ranks: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return run


def losses(run: Path) -> np.ndarray[Any, Any]:
    """The losses of a run, step by step."""
    return np.array([row["loss"] for row in held_rows(run) if row["kind"] == "train"])


def moments(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The optimizer's first moments after one step: its gradients but for a factor."""
    arrays = arrays_below(checkpoints_of(run)[-1])
    found = {name: value for name, value in arrays.items() if name.endswith("/m")}
    assert found, sorted(arrays)[:5]
    return found


def gradient_difference(one: Path, other: Path) -> float:
    """The largest difference of a gradient, relative to its norm or a hundredth of all."""
    a, b = moments(one), moments(other)
    whole = np.sqrt(sum(float(np.square(value).sum()) for value in a.values()))
    return max(
        float(np.linalg.norm(a[name] - b[name]) / max(np.linalg.norm(a[name]), whole / 100))
        for name in a
    )


def parted(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How far two runs' losses had parted by each step, relatively."""
    return np.maximum.accumulate(np.abs(one / other - 1))


def compare(workspace: Workspace, case: str, steps: int, ranks: list[int]) -> list[str]:
    """Compare a case; prints what was measured, and returns what is wrong."""
    wrong = []
    first = {"batch": ONE_RANK["3 rows twice"]["batch"], **CASES[case]}
    one_step = train(workspace, "gradients", 1, 1, first)
    alone = [
        losses(train(workspace, "alone", steps, 1, CASES[case] | changes))
        for changes in ONE_RANK.values()
    ]
    envelope = np.max([parted(alone[0], other) for other in alone[1:]], axis=0)
    print(f"{case}: one rank, sums in other orders: losses part by {envelope[-1]:.1e}", flush=True)
    for count in ranks:
        off = gradient_difference(one_step, train(workspace, "gradients", 1, count, first))
        away = parted(alone[0], losses(train(workspace, "ranks", steps, count, first)))
        print(f"{case}: {count} ranks: gradients {off:.1e}, losses {away[-1]:.1e}", flush=True)
        if off > GRADIENTS:
            wrong.append(f"{case}, {count} ranks: gradients differ by {off:.1e}")
        if np.any(away > 2 * np.maximum(envelope, ROUNDING)):
            worst = int(np.argmax(away / np.maximum(envelope, ROUNDING)))
            wrong.append(f"{case}, {count} ranks: outside the envelope at step {worst + 1}")
    return wrong


def main() -> int:
    """Compare all cases; the status is 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        for case in [options.case] if options.case else CASES:
            wrong += compare(workspace, case, options.steps, options.ranks)
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
