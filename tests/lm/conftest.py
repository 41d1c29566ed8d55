"""Toy models that the tests of this room share; nobody writes into their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx_lm
import pytest

from tests.toy_models import make_toy_model

ToyFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> ToyFolder:
    """`toy_folder("llama", dtype="bfloat16")`: the folder of that toy, made once a session."""
    root = tmp_path_factory.mktemp("toys")

    def folder(name: str, **settings: Any) -> Path:
        suffix = "".join(f"-{key}={value}" for key, value in sorted(settings.items()))
        return make_toy_model(name, root / (name + suffix), **settings)

    return folder


@pytest.fixture(scope="session")
def quantized_folder(toy_folder: ToyFolder, tmp_path_factory: pytest.TempPathFactory) -> ToyFolder:
    """`quantized_folder("llama")`: that toy, packed to 4 bits by mlx-lm."""
    root = tmp_path_factory.mktemp("quantized")

    def folder(name: str) -> Path:
        target = root / name
        if not target.exists():
            mlx_lm.convert(
                str(toy_folder(name)), str(target), quantize=True, q_bits=4, q_group_size=32
            )
        return target

    return folder
