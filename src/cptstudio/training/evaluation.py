"""Measures the held-out documents of every corpus and completes the prompt suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import mlx.core as mx
import numpy as np
from mlx_lm.generate import stream_generate

from cptstudio.document_sums import CorpusSums
from cptstudio.lm.blas import one_row_products
from cptstudio.lm.likelihood import Scores, bits_per_byte, score_documents
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.output_head import OutputHead
from cptstudio.lm.parameters import set_parameters, trainable_parameters
from cptstudio.lm.samplers import keyed_sampler
from cptstudio.lm.tensor_types import narrowed
from cptstudio.lm.text_after import TextAfter, raw_tokens
from cptstudio.lm.vocabulary import check_ids
from cptstudio.settings import EvaluationSettings
from cptstudio.training.held_out_sums import sums_of
from cptstudio.training.ranks import ALONE, Ranks
from cptstudio.training.seeds import sample_seed
from cptstudio.training.training_data import EvaluationSet

_Part = TypeVar("_Part")

NO_TEXT: Final = "[no further text: the model computes NaN]"


class EvaluationAbandonedError(Exception):
    """A stop was requested while an evaluation ran; nothing of it is recorded."""


@dataclass(frozen=True)
class EvaluationResult:
    """One evaluation of all corpora.

    Attributes:
        corpora: by name: role, `metrics.MEASURES`, and how many documents, tokens and bytes were
            measured.
        domain_bits_per_byte: over all domain corpora's documents together, or None.
        general_bits_per_byte: over all other corpora's documents together, or None.
        sums: of each corpus, what was found of each document.
    """

    corpora: dict[str, dict[str, Any]]
    domain_bits_per_byte: float | None
    general_bits_per_byte: float | None
    sums: dict[str, CorpusSums]


def evaluate(
    loaded: LoadedModel,
    sets: Sequence[EvaluationSet],
    *,
    context_length: int,
    compute_dtype: mx.Dtype,
    head: OutputHead | None = None,
    streams: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], None] = lambda done, total: None,
    ranks: Ranks = ALONE,
) -> EvaluationResult:
    """Measure all sets.

    Args:
        told: told the tokens of all sets that this rank has scored, and that it will.
        ranks: share the documents out; each gets the whole result.

    Raises:
        EvaluationAbandonedError: `should_stop` said so, in any rank; it is asked after each batch.
    """
    shares = [_share(chosen, ranks) for chosen in sets]
    sizes = [
        sum(len(chosen.documents[number].tokens) for number in share)
        for chosen, share in zip(sets, shares, strict=True)
    ]
    before = 0

    def progress(done: int, total: int) -> None:
        if should_stop():
            raise EvaluationAbandonedError
        told(before + done, sum(sizes))

    def own_share() -> list[list[float]]:
        nonlocal before
        nats = []
        with computing_in(loaded, compute_dtype):
            for number, (chosen, share) in enumerate(zip(sets, shares, strict=True)):
                before = sum(sizes[:number])
                documents = [chosen.documents[place] for place in share]
                scores = score_documents(
                    loaded.model,
                    [document.tokens for document in documents],
                    [document.byte_length for document in documents],
                    start_token=chosen.start_token,
                    context_length=context_length,
                    head=head,
                    streams=streams,
                    progress=progress,
                    counts=[document.counts for document in documents],
                    starts=[document.start for document in documents],
                )
                nats.append(scores.nats.tolist())
        return nats

    parts = of_all(own_share, ranks)
    corpora: dict[str, dict[str, Any]] = {}
    sums: dict[str, CorpusSums] = {}
    domain: list[Scores] = []
    general: list[Scores] = []
    for number, chosen in enumerate(sets):
        scores = _scores(chosen, [part[number] for part in parts], ranks)
        documents = len({document.number for document in chosen.documents})
        found = {"role": chosen.role, "documents": documents, **scores.figures()}
        corpora[chosen.name] = found
        sums[chosen.name] = sums_of(chosen, scores)
        (domain if chosen.role == "domain" else general).append(scores)
    return EvaluationResult(corpora, _together(domain), _together(general), sums)


def of_all(work: Callable[[], _Part], ranks: Ranks) -> list[_Part]:
    """Do a rank's share, and return that of each; abandoned by one, it is abandoned by all.

    Raises:
        EvaluationAbandonedError: a rank's work was.
    """
    own: _Part | None
    try:
        own = work()
    except EvaluationAbandonedError:
        own = None
    parts = [part for part in ranks.gathered(own) if part is not None]
    if len(parts) < ranks.size:
        raise EvaluationAbandonedError
    return parts


def _share(chosen: EvaluationSet, ranks: Ranks, rank: int | None = None) -> list[int]:
    """Places of the documents that a rank scores: of each length about as many as the others."""
    places = sorted(
        range(len(chosen.documents)), key=lambda place: -len(chosen.documents[place].tokens)
    )
    return sorted(places[ranks.rank if rank is None else rank :: ranks.size])


def _scores(chosen: EvaluationSet, parts: Sequence[list[float]], ranks: Ranks) -> Scores:
    """The scores of all documents, from what the ranks have of them."""
    nats = np.zeros(len(chosen.documents))
    for rank, part in enumerate(parts):
        nats[_share(chosen, ranks, rank)] = part
    return Scores(
        nats,
        np.array([document.measured for document in chosen.documents], dtype=np.int64),
        np.array([document.byte_length for document in chosen.documents], dtype=np.int64),
    )


def _together(scores: Sequence[Scores]) -> float | None:
    if not scores:
        return None
    nats = sum(float(score.nats.sum()) for score in scores)
    return bits_per_byte(nats, sum(int(score.bytes.sum()) for score in scores))


@contextmanager
def computing_in(loaded: LoadedModel, dtype: mx.Dtype) -> Iterator[None]:
    """Let the trained float32 parameters take the type of the computation for a while."""
    masters = trainable_parameters(loaded.model)
    casts = narrowed(masters, dtype, loaded.lasting)
    if not casts:
        yield
        return
    set_parameters(loaded.model, casts)
    try:
        yield
    finally:
        set_parameters(loaded.model, masters)


def complete_prompts(
    loaded: LoadedModel,
    settings: EvaluationSettings,
    *,
    seed: int,
    compute_dtype: mx.Dtype,
    should_stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], None] = lambda done, total: None,
    ranks: Ranks = ALONE,
) -> list[str]:
    """Complete each prompt as raw text; the same seed gives the same draws each time.

    Args:
        seed: of the run; each prompt gets one of it where the settings name none.
        told: told the prompts that are completed, and that there are.
        ranks: take the prompts in turn; each gets all texts.

    Raises:
        EvaluationAbandonedError: `should_stop` said so, in any rank; it is asked after each token.
    """
    if not settings.completed:
        return []
    parts = of_all(
        lambda: _own_texts(loaded, settings, seed, compute_dtype, should_stop, told, ranks), ranks
    )
    return [parts[n % ranks.size][n // ranks.size] for n in range(len(settings.completed))]


def _own_texts(
    loaded: LoadedModel,
    settings: EvaluationSettings,
    seed: int,
    compute_dtype: mx.Dtype,
    should_stop: Callable[[], bool],
    told: Callable[[int, int], None],
    ranks: Ranks,
) -> list[str]:
    """The completions of a rank's own prompts."""
    texts: list[str] = []
    sampling = settings.sampling
    own_prompts = list(enumerate(settings.completed))[ranks.rank :: ranks.size]
    loaded.model.eval()
    with computing_in(loaded, compute_dtype):
        for index, prompt in own_prompts:
            own = settings.sample_seed
            sampler = keyed_sampler(sampling, sample_seed(seed, index) if own is None else own)
            parts = []
            # mlx-lm cannot begin with nothing.
            tokens = raw_tokens(loaded.tokenizer, prompt) or [loaded.tokenizer.eos_token_id]
            check_ids(tokens, loaded.embedding_rows, f"The prompt {prompt[:40]!r}", loaded.path)
            text = TextAfter(loaded.tokenizer, tokens)
            responses = stream_generate(
                loaded.model,
                loaded.tokenizer,
                tokens,
                max_tokens=sampling.max_tokens,
                sampler=sampler,
            )
            with one_row_products() as prompt_read, closing(responses):
                for response in responses:
                    prompt_read()
                    if mx.isnan(response.logprobs).any().item():
                        # What is drawn from no numbers is no text.
                        parts.append(NO_TEXT)
                        break
                    if response.finish_reason != "stop":
                        parts.append(text.add(response.token))
                    if should_stop():
                        raise EvaluationAbandonedError
            texts.append("".join(parts) + text.finish())
            told(len(texts), len(own_prompts))
    return texts
