"""What a step takes, told by its graph alone: held against what MLX says when it is computed."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.graph_memory import Array, Graph, Operation, peak_bytes
from cptstudio.lm.loading import load_unread, unread_for_training
from cptstudio.lm.methods import apply_method
from cptstudio.lm.step_graph import gradient_graph, layer_graphs, on_a_gpu
from cptstudio.settings import MethodSettings
from tests.lm.conftest import ToyFolder

WIDTH = 1000


def array(*shape: int) -> Array:
    return Array(shape, 4)


def made(name: str, inputs: list[Array], *shape: int, arguments: tuple[object, ...] = ()) -> Array:
    output = array(*shape)
    output.made_by = Operation(name, inputs, [output], arguments)
    return output


def peak(given: list[Array], *outputs: Array) -> int:
    return peak_bytes(Graph(given, outputs, 0), WIDTH)


def test_an_element_wise_result_takes_the_memory_of_what_nobody_reads_any_more() -> None:
    x, y = array(10, 10), array(10, 10)
    product = made("Matmul", [x, y], 10, 10)
    assert peak([x, y], made("Exp", [made("Exp", [product], 10, 10)], 10, 10)) == 400


def test_what_is_read_again_keeps_its_memory() -> None:
    x, y = array(10, 10), array(10, 10)
    product = made("Matmul", [x, y], 10, 10)
    raised = made("Exp", [product], 10, 10)
    assert peak([x, y], made("Matmul", [raised, product], 10, 10)) == 1200


def test_views_cost_nothing_and_what_cannot_be_one_is_copied() -> None:
    x, y = array(10, 20), array(20, 10)
    product = made("Matmul", [x, y], 10, 10)
    turned = made("Transpose", [product], 10, 10, arguments=([1, 0],))
    assert peak([x, y], turned) == 400
    flat = made("Flatten", [turned], 100, arguments=(0, 1))
    assert peak([x, y], flat) == 800
    wide = made("Broadcast", [made("Sum", [x], 1, 1)], 1000, 1000)
    assert peak([x], wide) == 4


def test_a_product_copies_what_blas_cannot_take() -> None:
    x, y, ones = array(4, 10, 20), array(4, 20, 10), array(10, 10, 1)
    product = made("Matmul", [x, y], 4, 10, 10)
    moved = made("Transpose", [product], 10, 4, 10, arguments=([1, 0, 2],))
    # Its matrices lie 100 numbers apart row by row, which BLAS takes no stride for here.
    assert peak([x, y, ones], made("Matmul", [moved, ones], 10, 4, 1)) == 1600 + 160 + 1600


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("name", ["qwen3", "mixtral", "gemma3", "recurrent_gemma"])
def test_the_graph_tells_the_peak_of_a_step(toy_folder: ToyFolder, name: str, kind: str) -> None:
    path = Path(toy_folder(name))
    rows, length = 2, 128
    method = MethodSettings.model_validate({"kind": kind})
    loaded = unread_for_training(path, load_unread(path), "full", mx.float32)
    apply_method(loaded, method)
    told = peak_bytes(gradient_graph(loaded.model, rows, length, streams=1), WIDTH)

    mx.eval(loaded.model.parameters())
    step = GradientStep(loaded.model, streams=1)
    tokens = np.random.default_rng(0).integers(0, 400, (rows, length)).astype(np.int32)
    for _ in range(2):
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        nats, _, gradients = step(tokens, tokens, seed=1)
        mx.eval(nats, gradients)
        measured = mx.get_peak_memory() - before
        del nats, gradients
    logits = 4 * rows * length * 512
    assert 0.8 * measured < told + 2 * logits < 1.3 * measured


def test_a_layer_is_looked_at_by_itself_and_on_a_gpu(toy_folder: ToyFolder) -> None:
    path = Path(toy_folder("qwen3"))
    loaded = unread_for_training(path, load_unread(path), "full", mx.float32)
    apply_method(loaded, MethodSettings.model_validate({"kind": "full"}))
    whole = peak_bytes(gradient_graph(loaded.model, 2, 64, streams=1), WIDTH)
    [(graph, handed_on)] = layer_graphs(loaded.model, 2, 64)
    assert 0 < peak_bytes(graph, WIDTH) < whole
    assert handed_on == 4 * 2 * 64 * loaded.config["hidden_size"]
    former = mx.fast.rms_norm
    with on_a_gpu(True):
        assert mx.fast.rms_norm is not former
        assert peak_bytes(gradient_graph(loaded.model, 2, 64, streams=1), 20) > 0
        # As mlx-lm's nemotron_h says it.
        assert mx.fast.rms_norm(mx.ones((2, 4)), weight=None, eps=1e-5).shape == (2, 4)
    assert mx.fast.rms_norm is former
