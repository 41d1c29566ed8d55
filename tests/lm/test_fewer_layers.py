"""What networks of many layers take is told from their first ones."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models import llama, qwen3_moe

from cptstudio.lm.fewer_layers import (
    Measured,
    by_fewer_layers,
    first_layers,
    kinds_of_layers,
    one_of_each_layer,
)
from cptstudio.lm.graph_memory import peak_bytes
from cptstudio.lm.step_graph import gradient_graph, on_a_gpu


@pytest.mark.parametrize(
    "kinds",
    [[0] * 32, [0, 0, 0, 1] * 16, [0] + [1] * 60, ([0, 0, 1] * 13)[:38], [0, 1, 2, 1] * 10],
)
def test_the_first_layers_tell_of_sums_over_all(kinds: list[int]) -> None:
    parts = first_layers(kinds)
    assert parts and sum(count for count, _ in parts) < len(kinds)
    sizes = (5.0, 11.0, 3.0)

    def total(some: list[int]) -> float:
        return 70 + sum(sizes[kind] for kind in some)

    told = sum(weight * total(kinds[:count]) for count, weight in parts)
    assert told == pytest.approx(total(kinds))


def test_few_layers_are_looked_at_as_a_whole() -> None:
    for kinds in ([], [0], [0] * 6, [0, 1, 2, 3, 4, 5] * 2):
        assert first_layers(kinds) == []


def mixture(layers: int) -> Any:
    mx.random.seed(0)
    return qwen3_moe.Model(
        qwen3_moe.ModelArgs(
            model_type="qwen3_moe", hidden_size=32, num_hidden_layers=layers, intermediate_size=64,
            num_attention_heads=4, num_experts=4, num_experts_per_tok=2, decoder_sparse_step=1,
            mlp_only_layers=[0], moe_intermediate_size=32, rms_norm_eps=1e-6, vocab_size=64,
            num_key_value_heads=2, head_dim=16, rope_theta=1e4, tie_word_embeddings=True,
            max_position_embeddings=128, norm_topk_prob=True,
        )
    )  # fmt: skip


def test_a_mixture_of_many_layers_takes_what_a_few_tell() -> None:
    model = mixture(24)
    assert kinds_of_layers(model) == [0] + [1] * 23
    seen = []

    def measure() -> Measured:
        seen.append(len(model.layers))
        with on_a_gpu(True):
            graph = gradient_graph(model, 2, 64, streams=1)
        return Measured(peak_bytes(graph, 20), graph.operations)

    told = by_fewer_layers(model, measure)
    assert max(seen) < 16 and len(model.layers) == 24
    whole = measure()
    assert told.bytes == pytest.approx(whole.bytes, rel=0.03)
    assert told.operations == pytest.approx(whole.operations, rel=0.01)
    with one_of_each_layer(model):
        assert len(model.layers) == 4
    assert len(model.layers) == 24


def test_a_network_that_cannot_do_with_fewer_is_looked_at_whole() -> None:
    model: Any = llama.Model(
        llama.ModelArgs(
            model_type="llama", hidden_size=16, num_hidden_layers=20, intermediate_size=32,
            num_attention_heads=2, rms_norm_eps=1e-6, vocab_size=32,
        )
    )  # fmt: skip
    seen = []

    def measure() -> Measured:
        seen.append(len(model.layers))
        if len(model.layers) < 20:
            raise IndexError("it counts its layers itself")
        return Measured(1.0, 1)

    assert by_fewer_layers(model, measure) == Measured(1.0, 1)
    assert seen == [4, 20] and len(model.layers) == 20
