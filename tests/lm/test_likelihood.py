"""Scoring documents: each token of the text once, whatever the batching."""

from __future__ import annotations

import math

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.lm import blas
from cptstudio.lm.likelihood import bits_per_byte, perplexity, score_documents, score_tokens
from tests.lm.conftest import ToyFolder

START = 1
LENGTHS = [5, 1, 0, 40, 17, 16, 90, 33]


@pytest.fixture(scope="module")
def documents() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(2, 512, length).astype(np.uint16) for length in LENGTHS]


def nats_of_tokens(model, inputs: list[int], targets: list[int]) -> np.ndarray:
    """-log p of each target from full logits in float64."""
    logits = np.array(model(mx.array([inputs])).astype(mx.float32), dtype=np.float64)[0]
    logits -= logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(targets)), targets]


def reference_nats(model, tokens: np.ndarray, context: int, stride: int) -> float:
    """One window after the other, one document at a time."""
    sequence = [START, *map(int, tokens)]
    nats, scored = 0.0, 0
    while scored < len(tokens):
        end = min(len(tokens), context if scored == 0 else scored + stride)
        begin = max(0, end - context)
        of_window = nats_of_tokens(model, sequence[begin:end], sequence[begin + 1 : end + 1])
        nats += float(of_window[scored - begin :].sum())
        scored = end
    return nats


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma2", "mamba", "qwen3_moe", "phi3"])
def test_scores_equal_those_of_single_documents(
    toy_folder: ToyFolder, documents: list[np.ndarray], name: str
) -> None:
    model, _ = mlx_lm.load(str(toy_folder(name)))
    scores = score_documents(
        model, documents, [10] * len(documents), start_token=START, context_length=128
    )
    expected = [reference_nats(model, tokens, 128, 128) for tokens in documents]
    np.testing.assert_allclose(scores.nats, expected, rtol=1e-5)
    assert scores.tokens.tolist() == LENGTHS


def test_only_what_counts_is_scored(toy_folder: ToyFolder, documents: list[np.ndarray]) -> None:
    model, _ = mlx_lm.load(str(toy_folder("qwen3")))
    chosen = [documents[3], documents[6]]
    counts = [np.arange(len(one)) % 3 == 1 for one in chosen]
    starts = [None, 7]
    scores = score_documents(
        model,
        chosen,
        [10, 20],
        start_token=START,
        context_length=32,
        counts=counts,
        starts=starts,
    )
    assert scores.tokens.tolist() == [int(flags.sum()) for flags in counts]
    for number, (tokens, flags) in enumerate(zip(chosen, counts, strict=True)):
        [nats] = score_tokens(
            model, [tokens], start_token=starts[number] or START, context_length=32
        )
        np.testing.assert_allclose(scores.nats[number], nats[flags].sum(), rtol=1e-5)


@pytest.mark.parametrize("stride", [None, 8])
def test_the_nats_of_every_token_are_those_of_full_logits(
    toy_folder: ToyFolder, documents: list[np.ndarray], stride: int | None
) -> None:
    model, _ = mlx_lm.load(str(toy_folder("qwen3")))
    how = {"start_token": START, "context_length": 32, "stride": stride}
    nats = score_tokens(model, documents, **how)
    assert [len(of_document) for of_document in nats] == LENGTHS
    short = documents[5]
    expected = nats_of_tokens(model, [START, *map(int, short[:-1])], list(map(int, short)))
    np.testing.assert_allclose(nats[5], expected, rtol=1e-4)
    sums = score_documents(model, documents, [1] * len(documents), **how).nats
    np.testing.assert_allclose([of_document.sum() for of_document in nats], sums, rtol=1e-6)


@pytest.mark.parametrize("stride", [32, 8, 1])
def test_long_documents_are_read_in_windows(
    toy_folder: ToyFolder, documents: list[np.ndarray], stride: int
) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    scores = score_documents(
        model, documents, LENGTHS, start_token=START, context_length=32, stride=stride
    )
    expected = [reference_nats(model, tokens, 32, stride) for tokens in documents]
    np.testing.assert_allclose(scores.nats, expected, rtol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 64, 200, 100_000])
@pytest.mark.parametrize("streams", [1, 2])
def test_batching_changes_nothing(
    toy_folder: ToyFolder, documents: list[np.ndarray], batch_tokens: int, streams: int
) -> None:
    model, _ = mlx_lm.load(str(toy_folder("qwen3-tied")))
    settings = {"start_token": START, "context_length": 64}
    one = score_documents(model, documents, LENGTHS, **settings)
    other = score_documents(
        model, documents, LENGTHS, batch_tokens=batch_tokens, streams=streams, **settings
    )
    np.testing.assert_allclose(other.nats, one.nats, rtol=1e-6)


def test_the_order_of_documents_does_not_matter(
    toy_folder: ToyFolder, documents: list[np.ndarray]
) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    settings = {"start_token": START, "context_length": 64}
    forward = score_documents(model, documents, LENGTHS, **settings)
    backward = score_documents(model, documents[::-1], LENGTHS[::-1], **settings)
    np.testing.assert_allclose(backward.nats[::-1], forward.nats, rtol=1e-6)


def test_progress_reaches_the_end_and_the_mode_is_restored(
    toy_folder: ToyFolder, documents: list[np.ndarray]
) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    model.train()
    seen: list[tuple[int, int]] = []
    score_documents(
        model,
        documents,
        LENGTHS,
        start_token=START,
        context_length=32,
        batch_tokens=64,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) > 2
    assert seen[-1] == (sum(LENGTHS), sum(LENGTHS))
    assert seen == sorted(seen)
    assert model.training


def test_a_model_that_breaks_down_is_reported_as_such(toy_folder: ToyFolder) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    model.model.norm.weight = model.model.norm.weight * mx.array(math.nan)
    scores = score_documents(model, [[3, 4, 5]], [3], start_token=START, context_length=32)
    assert math.isnan(scores.nats[0])


def test_totals_are_over_all_documents(toy_folder: ToyFolder) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    scores = score_documents(model, [[3, 4, 5], [6]], [12, 8], start_token=START, context_length=32)
    total = float(scores.nats.sum())
    assert scores.loss == pytest.approx(total / 4)
    assert scores.perplexity == pytest.approx(math.exp(total / 4))
    assert scores.bits_per_byte == pytest.approx(total / math.log(2) / 20)


def test_conversions() -> None:
    assert bits_per_byte(8 * math.log(2), 4) == pytest.approx(2.0)
    assert math.isnan(bits_per_byte(1.0, 0))
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity(1e9) == math.inf


def test_the_threads_of_products_are_put_back(toy_folder: ToyFolder) -> None:
    model, _ = mlx_lm.load(str(toy_folder("llama")))
    former = blas.blas_threads()
    try:
        report = blas.use_fast_blas(2)
        documents = [[3, 4, 5], [6, 7, 8]]
        score_documents(model, documents, [3, 3], start_token=START, context_length=32, streams=2)
        assert blas.blas_threads() == (2 if report.replaced else 1)
    finally:
        blas.set_blas_threads(former)
