"""A run's training and evaluation data, and its length. Imports no MLX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cptstudio.corpus.conversations.rows import fit_conversations
from cptstudio.corpus.corpus import Corpus, HeldOutDocument, open_corpus
from cptstudio.corpus.held_out import held_out_text
from cptstudio.corpus.rows import MixtureMember, RowOrder, build_row_order
from cptstudio.corpus.token_store import TokenStore
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.lengths import Length
from cptstudio.run_files import OrderOf, RunConfig
from cptstudio.settings import CorpusUse, DataSettings, TrainingSettings
from cptstudio.training.schedules import default_warmup

DEFAULT_TIMES_A_RUN = 10
DEFAULT_EVALUATION_PART = 0.05
"""Part of the training time that evaluations take by default, at most."""
DEFAULT_SAMPLE_PART = 0.01
"""What of it is left to samples of prompts that are chosen for the user."""
DEFAULT_EVALUATION_TOKENS = 30_000
"""Of each corpus, where the run is long enough for it."""
FEWER_EVALUATION_TOKENS, FEWEST_EVALUATION_TOKENS = 10_000, 1_000
FEW_TIMES_A_RUN = 4
EVALUATION_COST = 0.57
"""Time of scoring a token, relative to training on it (0.56 to 0.58 measured on a CPU).

The forward pass alone would be a third; documents of all lengths make less of the processor.
"""


@dataclass(frozen=True)
class EvaluationSet:
    """Held-out documents of one corpus, the same in every evaluation.

    Attributes:
        role: "domain", "replay" or "evaluation".
        documents: of its validation side, or windows of them.
        start_token: what a document's first token is predicted from.
    """

    name: str
    role: str
    documents: Sequence[HeldOutDocument]
    start_token: int


@dataclass(frozen=True)
class TrainingData:
    """The opened corpora of a run.

    Attributes:
        order: what each update sees, by number.
        evaluation: a set for each corpus that has validation documents.
        without_validation: names of the corpora that have none.
        notes: what of conversations is not trained on.
    """

    order: RowOrder
    evaluation: tuple[EvaluationSet, ...]
    without_validation: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunLength:
    """A run's length, counted in steps.

    Attributes:
        steps: optimizer updates.
        batches: of the order of training; the last step may have fewer than the others, so that
            an epoch is whole.
        tokens_per_step: counted targets, on average.
        tokens: counted targets of the whole run, on average.
        positions: all targets that are computed, on average: also those that do not count.
        warmup: steps.
        evaluate_every: steps.
        save_every: steps.
        evaluation_tokens: measured of each corpus at most.
    """

    steps: int
    batches: int
    tokens_per_step: float
    tokens: float
    positions: float
    warmup: int
    evaluate_every: int
    save_every: int
    evaluation_tokens: int


def open_training_data(config: RunConfig, *, verify: bool = False) -> TrainingData:
    """Open the corpora that a run was prepared with.

    Args:
        verify: read all tokens again, also where nothing speaks for a change.

    Raises:
        UserError: corpora are missing, or are not what they were; all of them are named.
    """
    settings, records = config.settings, config.corpora
    problems = []
    corpora = []
    for record in records:
        try:
            corpus = open_corpus(Path(record.path)).in_template(record.template_hash)
            store = corpus.token_store(record.tokenizer_hash)
        except UserError as error:
            problems.append(str(error))
            continue
        if store.fingerprint != record.fingerprint:
            problems.append(
                f"The corpus {record.name!r} was rebuilt since this run was created, so "
                "the run cannot be continued exactly. Create a new run, or fork this one."
            )
        else:
            try:
                store.check_intact(all_of_it=verify)
            except UserError as error:
                problems.append(str(error))
        corpora.append(corpus)
    if problems:
        raise UserError("The run's corpora cannot be used:", problems)
    order = row_order(settings, corpora, records[0].tokenizer_hash, config.order_of)
    sets = []
    empty = []
    notes: list[str] = []
    for use, corpus in zip(settings.data.corpora, corpora, strict=True):
        store = corpus.token_store(records[0].tokenizer_hash)
        notes += about_conversations(use, store, settings.data)
        chosen = _evaluation_set(use, corpus, records[0].tokenizer_hash, config)
        if chosen.documents:
            sets.append(chosen)
        else:
            empty.append(use.name)
    return TrainingData(order, tuple(sets), tuple(empty), tuple(notes))


def row_order(
    settings: TrainingSettings,
    corpora: Sequence[Corpus],
    tokenizer_hash: str,
    order_of: OrderOf = "rows",
) -> RowOrder:
    """Return the order of training for resolved settings."""
    data = settings.data
    assert data.sequence_length is not None and data.replay_share is not None
    rows, accumulation = settings.batch.cut
    members = [
        MixtureMember(use.name, corpus.token_store(tokenizer_hash), use.role, use.weight)
        for use, corpus in zip(data.corpora, corpora, strict=True)
        if use.role != "evaluation"
    ]
    return build_row_order(
        members,
        context_length=data.sequence_length,
        packing=data.packing,
        rows_per_batch=rows,
        seed=settings.seed,
        replay_share=data.replay_share,
        accumulation=accumulation,
        of_rows=order_of == "rows",
        long_conversations=data.long_conversations,
    )


def about_conversations(use: CorpusUse, store: TokenStore, data: DataSettings) -> list[str]:
    """Say what of a corpus of conversations is not trained on, and what its form leaves open."""
    facts = store.manifest.conversations
    if facts is None:
        return []
    found = []
    refused = sum(one.answers for one in facts.refused)
    if refused:
        first = facts.refused[0]
        found.append(
            f"The corpus {use.name!r}: {refused:,} of {refused + facts.answers:,} answers are not "
            "used, because it is not certain which of their tokens the model writes: most often "
            f"{first.reason} ({first.answers:,})."
        )
    if use.role == "evaluation":
        return found
    assert data.sequence_length is not None
    length = data.sequence_length
    if data.packing == "decompose":
        length = 1 << (length.bit_length() - 1)
    fitted = fit_conversations(store, length, data.long_conversations)
    if fitted.shortened or fitted.left_out:
        tokens = fitted.tokens_left_out
        share = tokens / max(1, tokens + int(fitted.counted.sum()))
        found.append(
            f"The corpus {use.name!r}: of conversations longer than the sequence length of "
            f"{length:,} tokens, {fitted.shortened:,} lose their last turns and "
            f"{fitted.left_out:,} are left out, {share:.1%} of the answers' tokens. Increase the "
            "sequence length to train on all."
        )
    return found


def _evaluation_set(
    use: CorpusUse, corpus: Corpus, tokenizer_hash: str, config: RunConfig
) -> EvaluationSet:
    settings = config.settings
    store = corpus.token_store(tokenizer_hash)
    limit = settings.evaluation.max_tokens
    if config.held_out == "documents":
        documents = corpus.held_out_documents("validation", tokenizer_hash, max_tokens=limit)
    else:
        documents = held_out_text(
            corpus,
            "validation",
            tokenizer_hash,
            lambda: load_tokenizer(config.model_path),
            max_tokens=limit,
            window_tokens=settings.data.sequence_length,
        )
    measured = [document for document in documents if document.measured]
    return EvaluationSet(use.name, use.role, measured, store.tokenizer.start)


def run_length(
    settings: TrainingSettings,
    order: RowOrder,
    held_out: Sequence[int] = (),
    done: tuple[int, int] = (0, 0),
) -> RunLength:
    """Return how many steps a run has, and when it evaluates and saves.

    What is not set is chosen: checkpoints ten times a run, warm-up by `default_warmup`,
    evaluations as `_affordable_evaluations` says.

    Args:
        held_out: validation tokens of each corpus; may be left out where settings.evaluation has
            interval and size.
        done: steps, and the number of the batch after them. A run whose last step was a smaller
            one may go on longer than it was to be.
    """
    per_batch = order.tokens_per_epoch / order.batches_per_epoch
    per_step = per_batch * order.batches_per_update
    if settings.length.unit == "epochs":
        batches = _batches_of_epochs(order, settings.length.value)
        steps = done[0] + math.ceil((batches - done[1]) / order.batches_per_update)
    else:
        steps = settings.length.to_steps(per_step, order.tokens_per_epoch)
        batches = done[1] + (steps - done[0]) * order.batches_per_update

    def interval(length: Length | None, times: int = DEFAULT_TIMES_A_RUN) -> int:
        if length is None:
            return max(1, math.ceil(steps / times))
        return length.to_steps(per_step, order.tokens_per_epoch)

    warmup = settings.schedule.warmup
    positions = batches * order.positions_per_epoch / order.batches_per_epoch
    evaluate_every, evaluation_tokens = _evaluations(settings, interval, steps, positions, held_out)
    return RunLength(
        steps=steps,
        batches=batches,
        tokens_per_step=per_step,
        tokens=batches * per_batch,
        positions=positions,
        warmup=default_warmup(steps) if warmup is None else interval(warmup),
        evaluate_every=evaluate_every,
        save_every=interval(settings.checkpoints.every),
        evaluation_tokens=evaluation_tokens,
    )


def evaluation_part(length: RunLength, held_out: Sequence[int]) -> float:
    """Return the time of all evaluations of a run, relative to that of training.

    Args:
        held_out: validation tokens of each corpus.
    """
    times = evaluations(length.steps, length.evaluate_every)
    tokens = sum(min(length.evaluation_tokens, there) for there in held_out)
    return EVALUATION_COST * times * tokens / length.positions


def evaluations(steps: int, every: int) -> int:
    """How often a run evaluates: before the first step, at every interval, and at its end."""
    return 1 + math.ceil(steps / every)


def _evaluations(
    settings: TrainingSettings,
    interval: Callable[[Length | None, int], int],
    steps: int,
    tokens: float,
    held_out: Sequence[int],
) -> tuple[int, int]:
    """Interval in steps and tokens of each corpus; what is not set fits into a part of the time.

    Ten evaluations of 30,000 tokens at best; first each becomes smaller, to 10,000, then they
    become fewer, to four, then both go on to the least that says something.
    """
    every, size = settings.evaluation.every, settings.evaluation.max_tokens
    evaluation = settings.evaluation
    sampled = evaluation.samples and evaluation.prompts is None
    part = DEFAULT_EVALUATION_PART - (DEFAULT_SAMPLE_PART if sampled else 0.0)
    affordable = part * tokens / EVALUATION_COST

    def cost(times: int, limit: int) -> float:
        done = evaluations(steps, interval(every, times))
        return done * sum(min(limit, there) for there in held_out)

    def fitting(times: int, least: int) -> int:
        """Return the tokens of each corpus that so many evaluations can afford, within bounds."""
        if size is not None:
            return size
        for limit in range(DEFAULT_EVALUATION_TOKENS, least, -1_000):
            if cost(times, limit) <= affordable:
                return limit
        return least

    stages = [
        *((times, FEWER_EVALUATION_TOKENS) for times in range(DEFAULT_TIMES_A_RUN, 3, -1)),
        *((times, FEWEST_EVALUATION_TOKENS) for times in range(FEW_TIMES_A_RUN, 0, -1)),
    ]
    for times, least in stages:
        limit = fitting(times, least)
        if cost(times, limit) <= affordable:
            break
    return interval(every, times), limit


def _batches_of_epochs(order: RowOrder, epochs: float) -> int:
    whole = int(epochs)
    batches = sum(order.batches_in_epoch(epoch) for epoch in range(whole))
    rest = epochs - whole
    if rest:
        batches += round(rest * order.batches_in_epoch(whole))
    return max(1, batches)
