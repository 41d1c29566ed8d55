"""Merging a really trained toy back towards its base, by the program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import mlx_lm
import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation import merge as program
from cptstudio.evaluation.merging import average, back_to_base
from cptstudio.evaluation.references import resolve_reference
from cptstudio.workspace import Workspace
from tests.evaluation.silence import Silence
from tests.evaluation.small_corpus import build_words
from tests.toy_models import make_toy_model

STUDIO = [sys.executable, "-m", "cptstudio.cli"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A toy that was trained for some steps, with three checkpoints."""
    root = tmp_path_factory.mktemp("workspace")
    base = make_toy_model("qwen3", root / "models" / "base" / "qwen3")
    build_words(root, base, 0.3)
    trained = subprocess.run(
        [
            *(*STUDIO, "train", "-m", "qwen3", "-c", "words", "--name", "first", "-w", str(root)),
            *("--length", "30 steps", "--sequence-length", "64", "--learning-rate", "1e-2"),
            *("--save-every", "15 steps"),
        ],
        capture_output=True,
        text=True,
    )
    assert trained.returncode == 0, trained.stderr
    return Workspace(root)


def merge(workspace: Workspace, points, save: Path | None = None) -> dict:
    return program.merge_points(
        {
            "workspace": workspace.root,
            "points": [point.request() for point in points],
            "corpora": [{"name": "words", "path": workspace.corpus("words")}],
            "side": "validation",
            "max_bytes": 400_000,
            "context_length": None,
            "save": {"point": points[0].label, "folder": save} if save else None,
            "fast_blas": True,
        },
        Silence(),
    )


def base_of(workspace: Workspace) -> Path:
    return workspace.base_model("qwen3")


@pytest.mark.slow
def test_the_frontier_begins_at_the_base_and_ends_at_the_checkpoint(workspace: Workspace) -> None:
    trained = resolve_reference("first", workspace)
    points = back_to_base(trained, base_of(workspace), [0.0, 0.5, 1.0])
    found = [
        point["corpora"]["words"]["bits_per_byte"] for point in merge(workspace, points)["points"]
    ]
    completed = subprocess.run(
        [
            *(*STUDIO, "evaluate", "qwen3", "first", "-c", "words"),
            *("-w", str(workspace.root), "--json"),
        ],
        capture_output=True,
        text=True,
    )
    models = json.loads(completed.stdout)["models"]
    ends = [model["corpora"]["words"]["bits_per_byte"] for model in models]
    assert [found[0], found[-1]] == pytest.approx(ends, rel=1e-6)
    assert found[-1] < found[0]
    saved = workspace.base_model("merged")
    merge(workspace, points[1:2], save=saved)
    model, tokenizer = mlx_lm.load(str(saved))
    assert mlx_lm.generate(model, tokenizer, "import", max_tokens=3)
    with pytest.raises(UserError, match="Choose another name"):
        merge(workspace, points[1:2], save=saved)
    mean = average(workspace.run("first"), 2)
    assert [part.weight for part in mean.parts] == [0.5, 0.5]
    assert merge(workspace, [mean])["points"][0]["corpora"]["words"]["bits_per_byte"] < found[0]
    with pytest.raises(UserError, match="checkpoints, fewer than 9"):
        average(workspace.run("first"), 9)
