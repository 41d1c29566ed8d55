"""Toy models and adapters for the tests of this room; nobody writes into their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from cptstudio.evaluation.references import ModelReference
from tests.toy_adapters import make_toy_adapter
from tests.toy_models import make_toy_model


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toys "qwen3" and "llama", and two adapters of the former."""
    root = tmp_path_factory.mktemp("inference")
    for name in ("qwen3", "llama"):
        make_toy_model(name, root / name)
    for seed in (1, 2):
        make_toy_adapter(root / "qwen3", root / f"adapter-{seed}", seed)
    return root


@pytest.fixture(scope="session")
def base(toys: Path) -> ModelReference:
    """The toy without an adapter."""
    return ModelReference("base", toys / "qwen3")


@pytest.fixture(scope="session")
def adapted(toys: Path) -> list[ModelReference]:
    """The toy with each of its adapters."""
    return [
        ModelReference(f"adapter-{seed}", toys / "qwen3", toys / f"adapter-{seed}")
        for seed in (1, 2)
    ]
