"""The chunked loss equals the plain one, in value and gradients, for every kind of output head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx_lm
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models import cohere, gemma2, granite, qwen3
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear

from cptstudio.lm import cpu_head, loss
from cptstudio.lm.cpu_kernels import on_cpu
from cptstudio.lm.loss import next_token_nats
from cptstudio.lm.output_head import OutputHead, find_output_head
from tests.lm.conftest import ToyFolder
from tests.toy_models import ARCHITECTURES

VOCABULARY = 97


@pytest.fixture(params=[cpu_head.TILE_BYTES, 1300], ids=["one tile", "tiles"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the words in one tile, or in five for 16 tokens and more for more."""
    monkeypatch.setattr(cpu_head, "TILE_BYTES", request.param)


with_tiles = pytest.mark.usefixtures("tiles")

COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
}


def small_qwen3(tied: bool = True, seed: int = 0, words: int = VOCABULARY) -> Any:
    mx.random.seed(seed)
    return qwen3.Model(
        qwen3.ModelArgs(
            model_type="qwen3",
            rms_norm_eps=1e-6,
            head_dim=8,
            max_position_embeddings=256,
            tie_word_embeddings=tied,
            rope_theta=1e4,
            **COMMON | {"vocab_size": words},
        )
    )


def small_gemma2() -> Any:
    mx.random.seed(1)
    arguments = gemma2.ModelArgs(
        model_type="gemma2", head_dim=8, rms_norm_eps=1e-6, final_logit_softcapping=3.0, **COMMON
    )
    return gemma2.Model(arguments)


def small_cohere() -> Any:
    mx.random.seed(2)
    sizes = {**COMMON, "num_key_value_heads": 4}
    return cohere.Model(cohere.ModelArgs(model_type="cohere", logit_scale=0.3, **sizes))


def small_granite() -> Any:
    mx.random.seed(3)
    return granite.Model(
        granite.ModelArgs(
            model_type="granite",
            rms_norm_eps=1e-6,
            logits_scaling=7.0,
            attention_multiplier=0.3,
            embedding_multiplier=2.0,
            residual_multiplier=0.5,
            max_position_embeddings=256,
            attention_bias=False,
            mlp_bias=False,
            rope_theta=1e4,
            **COMMON,
        )
    )


def batch() -> tuple[mx.array, mx.array]:
    tokens = mx.random.randint(0, VOCABULARY, (2, 41), key=mx.random.key(5))
    return tokens[:, :-1], tokens[:, 1:]


def plain(model: Any, inputs: mx.array, targets: mx.array, weights: mx.array | None) -> mx.array:
    losses = nn.losses.cross_entropy(model(inputs), targets)
    return (losses if weights is None else losses * weights).sum()


def assert_agrees(model: Any, head: OutputHead | None, weights: mx.array | None = None) -> None:
    """Value and gradients of the loss in chunks of 16 tokens against those of the full logits."""
    inputs, targets = batch()
    value, gradients = nn.value_and_grad(model, plain)(model, inputs, targets, weights)

    def chunked(model: Any) -> mx.array:
        return next_token_nats(model, inputs, targets, weights, head=head, chunk_bytes=1)

    got, got_gradients = nn.value_and_grad(model, chunked)(model)
    assert got.dtype == mx.float32
    assert abs(got.item() - value.item()) < 1e-5 * abs(value.item())
    expected = dict(tree_flatten(gradients))
    found = dict(tree_flatten(got_gradients))
    assert found.keys() == expected.keys() and found
    for name, wanted in expected.items():
        error = mx.linalg.norm(found[name] - wanted) / (mx.linalg.norm(wanted) + 1e-9)
        assert error.item() < 1e-5, name


@with_tiles
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (small_qwen3, OutputHead("model.embed_tokens", True)),
        (lambda: small_qwen3(tied=False), OutputHead("lm_head", False)),
        (small_gemma2, OutputHead("model.embed_tokens", True, 1.0, 3.0)),
        (small_cohere, OutputHead("model.embed_tokens", True, 0.3)),
        (small_granite, OutputHead("model.embed_tokens", True, 1 / 7)),
    ],
    ids=["tied", "untied", "soft cap", "factor", "divisor"],
)
def test_the_head_is_found_and_the_loss_agrees(
    make: Callable[[], Any], expected: OutputHead
) -> None:
    model = make()
    order = [name for name, _ in tree_flatten(model.parameters())]
    head = find_output_head(model)
    assert head is not None
    assert (head.path, head.tied) == (expected.path, expected.tied)
    assert head.scale == pytest.approx(expected.scale, rel=1e-3)
    assert (head.softcap or 0) == pytest.approx(expected.softcap or 0, rel=1e-3)
    assert_agrees(model, head)
    weights = mx.random.uniform(shape=(2, 40), key=mx.random.key(8)) * mx.array([[1.0], [0.0]])
    assert_agrees(model, head, weights)
    assert [name for name, _ in tree_flatten(model.parameters())] == order


def test_without_a_head_the_full_logits_are_used() -> None:
    assert_agrees(small_qwen3(), None)


@with_tiles
def test_a_frozen_head_and_adapters_on_the_head_work() -> None:
    model = small_qwen3(tied=False)
    model.freeze()
    model.layers[0].mlp.unfreeze()
    head = find_output_head(model)
    assert_agrees(model, head)
    for adapter in (LoRALinear, DoRALinear):
        model = small_qwen3(tied=False)
        model.freeze()
        model.lm_head = adapter.from_base(model.lm_head, r=4)
        head = find_output_head(model)
        assert head == OutputHead("lm_head", False)
        model.lm_head.lora_b = mx.random.normal(model.lm_head.lora_b.shape) * 0.1
        assert_agrees(model, head)


@with_tiles
def test_a_head_with_a_bias_and_a_quantized_head_work() -> None:
    model = small_qwen3(tied=False)
    model.lm_head = nn.Linear(32, VOCABULARY, bias=True)
    assert_agrees(model, find_output_head(model))
    for tied in (False, True):
        model = small_qwen3(tied=tied)
        nn.quantize(
            model, 32, 4, class_predicate=lambda path, _: path.endswith(("lm_head", "embed_tokens"))
        )
        model.freeze()
        model.layers[0].input_layernorm.unfreeze()
        head = find_output_head(model)
        assert head is not None and head.tied == tied
        assert_agrees(model, head)


def test_adapters_with_dropout_on_the_head_use_one_mask_for_value_and_gradient() -> None:
    model = small_qwen3(tied=False)
    model.freeze()
    model.lm_head = LoRALinear.from_base(model.lm_head, r=4, dropout=0.5)
    model.lm_head.lora_b = mx.random.normal(model.lm_head.lora_b.shape)
    head = find_output_head(model)
    model.train()
    inputs, targets = batch()
    results = []
    for function in (plain, lambda m, x, y, w: next_token_nats(m, x, y, w, head=head)):
        mx.random.seed(4)
        value, gradients = nn.value_and_grad(model, function)(model, inputs, targets, None)
        results.append((value.item(), gradients["lm_head"]["lora_a"]))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    assert mx.allclose(results[0][1], results[1][1], atol=1e-4).item()


def test_a_model_that_does_other_things_to_its_logits_keeps_its_full_logits() -> None:
    model = small_qwen3()

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def __call__(self, inputs: mx.array) -> mx.array:
            return mx.abs(self.inner(inputs))

    shifted = Shifted()
    assert find_output_head(shifted) is None
    assert_agrees(shifted, None)


@with_tiles
def test_large_logits_do_not_overflow() -> None:
    model = small_qwen3()
    model.model.norm.weight = model.model.norm.weight * 3000
    head = find_output_head(model)
    inputs, targets = batch()
    nats = next_token_nats(model, inputs, targets, head=head)
    assert nats.item() == pytest.approx(plain(model, inputs, targets, None).item(), rel=1e-5)


def test_low_precision_parameters_get_gradients_of_their_type() -> None:
    model = small_qwen3()
    inputs, targets = batch()
    exact = plain(model, inputs, targets, None).item()
    model.set_dtype(mx.bfloat16)
    head = find_output_head(model)
    assert head is not None

    def chunked(model: Any) -> mx.array:
        return next_token_nats(model, inputs, targets, head=head, chunk_bytes=1)

    value, gradients = nn.value_and_grad(model, chunked)(model)
    assert value.dtype == mx.float32 and value.item() == pytest.approx(exact, rel=0.02)
    assert all(array.dtype == mx.bfloat16 for _, array in tree_flatten(gradients))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architectures_head_is_found(toy_folder: ToyFolder, name: str) -> None:
    model, _ = mlx_lm.load(str(toy_folder(name)))
    assert find_output_head(model) is not None


def test_chunks_cover_all_tokens_in_nearly_equal_parts() -> None:
    for tokens, rows in ((1, 16), (16, 16), (17, 16), (100, 33)):
        parts = loss._parts(tokens, rows)
        covered = [index for part in parts for index in range(tokens)[part]]
        assert covered == list(range(tokens))
        assert max(len(range(tokens)[part]) for part in parts) <= rows


@pytest.mark.slow
@pytest.mark.skipif(not on_cpu(), reason="a GPU takes more tokens at once")
def test_a_frozen_heads_logits_never_exist_as_a_whole() -> None:
    tokens, words = 512, 200_000
    model = small_qwen3(words=words)
    model.freeze()
    head = find_output_head(model)
    assert head is not None
    hidden, targets = mx.random.normal((tokens, 32)), mx.zeros(tokens, mx.int32)
    mx.eval(hidden, targets, model.parameters())
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(mx.value_and_grad(lambda x: loss.head_nats(model, head, x, targets, None))(hidden))
    assert mx.get_peak_memory() - before < 0.7 * 4 * tokens * words
