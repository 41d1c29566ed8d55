"""Asks the model that is trained the facts of a ledger: how often does the right answer lead?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import mlx.core as mx
import numpy as np

from cptstudio.corpus.tokenizer import CorpusTokenizer
from cptstudio.intervals import share_of
from cptstudio.ledgers.knowing import GUESSES, answer_of, guesses_of
from cptstudio.ledgers.options import Asked, counted
from cptstudio.lm.likelihood import score_documents
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.output_head import OutputHead
from cptstudio.training.evaluation import EvaluationAbandonedError, computing_in, of_all
from cptstudio.training.fact_questions import FactQuestions
from cptstudio.training.ranks import ALONE, Ranks

LONGEST: Final = 2048
"""Tokens of a question that are read at once, as far as the model can."""


@dataclass(frozen=True)
class FactsFound:
    """What a model answered.

    Attributes:
        figures: the metrics of an evaluation's row; None where the model computes no numbers.
        words: the same in a sentence.
    """

    figures: dict[str, float | None]
    words: str


def ask_facts(
    loaded: LoadedModel,
    questions: FactQuestions,
    tokenizer: CorpusTokenizer,
    *,
    compute_dtype: mx.Dtype,
    head: OutputHead | None = None,
    streams: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    told: Callable[[int, int], None] = lambda done, total: None,
    ranks: Ranks = ALONE,
) -> FactsFound:
    """Ask all questions, closed-book.

    Args:
        told: told the tokens that this rank has scored, and that it will.
        ranks: take the questions in turn; each gets the whole result.

    Raises:
        EvaluationAbandonedError: `should_stop` said so, in any rank; it is asked after each batch.
    """

    def progress(done: int, total: int) -> None:
        if should_stop():
            raise EvaluationAbandonedError
        told(done, total)

    def own_share() -> list[list[float]]:
        own = questions.asked[ranks.rank :: ranks.size]
        with computing_in(loaded, compute_dtype):
            return _log_probabilities(loaded, own, tokenizer, head, streams, progress)

    parts = of_all(own_share, ranks)
    values = [parts[n % ranks.size][n // ranks.size] for n in range(len(questions.asked))]
    return found_of(questions.asked, values)


def _log_probabilities(
    loaded: LoadedModel,
    asked: Sequence[Asked],
    tokenizer: CorpusTokenizer,
    head: OutputHead | None,
    streams: int | None,
    progress: Callable[[int, int], None],
) -> list[list[float]]:
    """Of each wording, of each option: the log-probability of what follows the context."""
    texts = [(one, one.context + text) for one in asked for text in one.continuations]
    encodings = tokenizer.backend.encode_batch(
        [text for _, text in texts], add_special_tokens=False
    )
    scores = score_documents(
        loaded.model,
        [np.array(encoding.ids, dtype=np.int64) for encoding in encodings],
        [len(text.encode()) for _, text in texts],
        start_token=tokenizer.facts.start,
        context_length=min(LONGEST, _limit(loaded.config)),
        head=head,
        streams=streams,
        progress=progress,
        counts=[
            np.array(counted((end for _, end in encoding.offsets), len(one.context)), dtype=bool)
            for (one, _), encoding in zip(texts, encodings, strict=True)
        ],
    )
    sums = iter((-scores.nats).tolist())
    return [[next(sums) for _ in one.continuations] for one in asked]


def _limit(config: dict[str, Any]) -> int:
    limit = config.get("max_position_embeddings")
    return limit if isinstance(limit, int) and limit > 0 else LONGEST


def found_of(asked: Sequence[Asked], values: Sequence[Sequence[float]]) -> FactsFound:
    """Return what log-probabilities of wordings and their options say about facts."""
    of_facts: dict[int, list[Sequence[float]]] = {}
    for one, of_one in zip(asked, values, strict=True):
        of_facts.setdefault(one.fact, []).append(of_one)
    if not np.isfinite([value for of_one in values for value in of_one]).all():
        return FactsFound(
            {"facts_right": None, "facts_known": None}, "facts: the model computes NaN or infinity"
        )
    answers = [answer_of(of_fact) for of_fact in of_facts.values()]
    right = share_of([answer.leads for answer in answers])
    assert right is not None, "a run is asked a fact at least"
    known = sum(guess <= GUESSES for guess in guesses_of(answers))
    return FactsFound(
        {"facts_right": right.value, "facts_known": known / len(answers)},
        f"facts right {sum(answer.leads for answer in answers):,} of {len(answers):,} "
        f"({right.low:.0%} to {right.high:.0%}), known {known:,}",
    )
