"""The measured inverse of an architecture's renaming: exact, or none."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from cptstudio.lm.tensor_layout import measure_layout
from cptstudio.lm.tensor_writing import host_numbers
from cptstudio.weight_files import Tensor


@dataclass
class ModelArgs:
    """Arguments of the networks below, found by name as in mlx-lm's modules."""

    model_type: str = "made-up"

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ModelArgs:
        return cls(config["model_type"])


class Network(nn.Module):
    """Takes any tensors as they are."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()


class Rearranged(Network):
    """Everything that mlx-lm's architectures do to tensors without computing."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        fused = weights["fused"]
        pairs = weights["interleaved"].reshape(4, 2, 6)
        return {
            "renamed": weights["plain"],
            "transposed": weights["conv"].moveaxis(2, 1),
            "stacked": mx.stack([weights[f"expert.{i}"] for i in range(3)]),
            "turned": mx.stack([weights[f"turned.{i}"].T for i in range(3)]),
            "first": fused[:5],
            "second": fused[5:],
            "even": pairs[:, 0],
            "odd": pairs[:, 1],
            "joined": mx.concatenate([weights["left"], weights["right"]], axis=1),
            "heads": weights["flat"].reshape(2, 4),
            "scalar": weights["scalar"],
        }


class Computed(Network):
    """Gemma's and Qwen3-Next's way with norms."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {name: value + 1 for name, value in weights.items()}


class Scaled(Network):
    """Multiplies by a factor, as in dequantization."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {name: value * 1.5 for name, value in weights.items()}


class ScaledInPlace(Network):
    """Falcon-H1's way with its multipliers."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        for value in weights.values():
            value *= 2
        return weights


class Doubled(Network):
    """Fills two parameters from one tensor."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {**weights, "copy": weights["plain"]}


class Halved(Network):
    """Loses a part of a tensor."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {"plain": weights["plain"][:1]}


class Invented(Network):
    """Adds a parameter that no file has."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {**weights, "bias": mx.zeros((3,))}


class Reversed(Network):
    """Moves elements in a way that no architecture does, and that is not undone."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {**weights, "plain": weights["plain"][::-1]}


class Sorted(Network):
    """Moves each row to a place of its own."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {**weights, "other": weights["other"][mx.array([1, 0, 3, 2])]}


class Changing(Network):
    """Has other parameters whenever it is asked."""

    asked = 0

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        Changing.asked += 1
        return {"plain": weights["plain"].T, f"other.{self.asked}": weights["other"] + 0}


class Picky(Network):
    """Needs a tensor that is not there."""

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        return {"plain": weights["absent"]}


def write_sparse(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write a weight file whose numbers are a hole."""
    header, end = {}, 0
    for name, tensor in tensors.items():
        offsets, end = [end, end + tensor.bytes], end + tensor.bytes
        header[name] = {
            "dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets
        }  # fmt: skip
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)


def save(folder: Path, tensors: dict[str, mx.array]) -> Path:
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    return folder


def test_rearranged_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    key = mx.random.key(0)
    shapes = {
        "plain": (3, 4),
        "conv": (5, 1, 4),
        **{f"expert.{i}": (4, 6) for i in range(3)},
        **{f"turned.{i}": (2, 7) for i in range(3)},
        "fused": (9, 4),
        "interleaved": (8, 6),
        "left": (3, 2),
        "right": (3, 5),
        "flat": (8,),
        "scalar": (1,),
        "encoder.weight": (2, 2),
    }
    tensors = {
        name: mx.random.normal(shape, key=part)
        for (name, shape), part in zip(
            shapes.items(), mx.random.split(key, len(shapes)), strict=True
        )
    }
    save(tmp_path, tensors)
    network = Rearranged(ModelArgs())
    layout = measure_layout(network, {"model_type": "made-up"}, tmp_path)
    assert layout is not None
    assert layout.dropped == ("encoder.weight",)
    for dtype in (mx.float32, mx.bfloat16):
        narrow = {name: value.astype(dtype) for name, value in tensors.items()}
        moved = network.sanitize(dict(narrow))
        parameters = {name: host_numbers(value) for name, value in moved.items()}
        assert layout.shapes.keys() == tensors.keys() - {"encoder.weight"}
        for name in layout.shapes:
            assert np.array_equal(layout.restored(name, parameters), host_numbers(narrow[name]))


@pytest.mark.parametrize(
    "network",
    [
        Computed, Scaled, ScaledInPlace, Doubled, Halved, Invented, Reversed, Sorted, Changing,
        Picky,
    ],
)  # fmt: skip
def test_what_is_more_than_moving_has_no_inverse(tmp_path: Path, network: type[Network]) -> None:
    save(tmp_path, {"plain": mx.ones((2, 3)), "other": mx.ones((4,))})
    assert measure_layout(network(ModelArgs()), {"model_type": "made-up"}, tmp_path) is None


def test_without_sanitize_names_stay(tmp_path: Path) -> None:
    tensors = {"a": mx.ones((2, 3)), "b": mx.zeros((4,))}
    layout = measure_layout(
        Network(ModelArgs()), {"model_type": "made-up"}, save(tmp_path, tensors)
    )
    assert layout is not None
    assert layout.shapes.keys() == tensors.keys()
    assert all(layout.parameters_of(name) == (name,) for name in tensors)


def test_the_layout_of_a_large_model_takes_no_memory(tmp_path: Path) -> None:
    tensors = {
        "plain": Tensor("BF16", (50_000, 1000), "", 100_000_000),
        "conv": Tensor("BF16", (5000, 1, 1000), "", 10_000_000),
        **{f"expert.{i}": Tensor("BF16", (1000, 500), "", 1_000_000) for i in range(3)},
        **{f"turned.{i}": Tensor("BF16", (500, 2000), "", 2_000_000) for i in range(3)},
        "fused": Tensor("BF16", (5005, 1000), "", 10_010_000),
        "interleaved": Tensor("BF16", (8, 6), "", 96),
        "left": Tensor("BF16", (1000, 500), "", 1_000_000),
        "right": Tensor("BF16", (1000, 700), "", 1_400_000),
        "flat": Tensor("BF16", (8,), "", 16),
        "scalar": Tensor("BF16", (1,), "", 2),
    }
    write_sparse(tmp_path / "model.safetensors", tensors)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    layout = measure_layout(Rearranged(ModelArgs()), {"model_type": "made-up"}, tmp_path)
    assert layout is not None
    assert layout.shapes.keys() == tensors.keys()
    # What is stacked or joined is laid out, one at a time, with 4 bytes an element and axis.
    largest = 2 * 4 * 3 * 500 * 2000
    assert mx.get_peak_memory() - before < 1.3 * largest
    assert mx.get_active_memory() - before < 1_000_000
