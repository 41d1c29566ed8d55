"""The prompts of a run that names none: what held-out documents begin with.

So a run's page shows what the model makes of text like that which it learns, and of the general
text beside it, without anybody having thought of prompts before Start. Imports no MLX.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final

from cptstudio.corpus.corpus import Corpus, in_hash_order, open_corpus
from cptstudio.sampling import SUITE_SAMPLING
from cptstudio.settings import EvaluationSettings, TrainingSettings
from cptstudio.training.training_data import (
    DEFAULT_EVALUATION_PART,
    EVALUATION_COST,
    RunLength,
    evaluations,
)

PROMPTS: Final = 3
CHARACTERS: Final = 160
"""Of a prompt, at most; a document that has not twice as many leaves little to go on with."""
SAMPLE_COST: Final = 8.0
"""Time of a sampled token, relative to training on one (4 to 9 measured on a CPU)."""
_SHORTEST: Final = 16
_LOOKED_AT: Final = 200


def with_samples(
    settings: TrainingSettings,
    corpora: Sequence[Corpus],
    tokenizer_hash: str,
    length: RunLength,
    held_out: Sequence[int],
) -> TrainingSettings:
    """Return settings with prompts and sample length, where these are to be chosen.

    Where evaluations would take more than a twentieth of the training time with prompts that were
    chosen here, their samples become shorter, and then fewer.

    Args:
        corpora: in the order of settings.data.corpora.
        held_out: validation tokens of each.
    """
    evaluation = settings.evaluation
    tokens = evaluation.sample_tokens or SUITE_SAMPLING.max_tokens
    prompts = evaluation.prompts
    if not evaluation.samples:
        prompts = ()
    elif prompts is None:
        prompts = _beginnings(settings, corpora, tokenizer_hash)
        if evaluation.sample_tokens is None:
            times = evaluations(length.steps, length.evaluate_every)
            scored = sum(min(length.evaluation_tokens, there) for there in held_out)
            left = DEFAULT_EVALUATION_PART * length.positions - EVALUATION_COST * times * scored
            affordable = max(0.0, left / SAMPLE_COST / times)
            tokens = max(_SHORTEST, min(tokens, int(affordable / max(1, len(prompts)))))
            prompts = prompts[: max(1, int(affordable // tokens))]
    return settings.model_copy(
        update={
            "evaluation": evaluation.model_copy(
                update={"prompts": tuple(prompts), "sample_tokens": tokens}
            )
        }
    )


def sample_part(evaluation: EvaluationSettings, length: RunLength) -> float:
    """Return the time of all samples of a run, relative to that of training."""
    times = evaluations(length.steps, length.evaluate_every)
    tokens = len(evaluation.prompts or ()) * evaluation.sampling.max_tokens
    return SAMPLE_COST * times * tokens / length.positions


def _beginnings(
    settings: TrainingSettings, corpora: Sequence[Corpus], tokenizer_hash: str
) -> tuple[str, ...]:
    """Two of the domain's documents and one of general text, or three of what there is."""
    found: dict[bool, list[list[str]]] = {True: [], False: []}
    for use, corpus in zip(settings.data.corpora, corpora, strict=True):
        if corpus.manifest.settings.kind == "conversations":
            continue  # What a conversation is stored as is no text to go on with.
        fingerprint = corpus.token_store(tokenizer_hash).fingerprint
        found[use.role == "domain"].append(
            list(_beginnings_of(corpus.path, fingerprint, tokenizer_hash))
        )
    domain, general = (_in_turn(found[role]) for role in (True, False))
    own = domain[: PROMPTS - bool(general)]
    return tuple(own + general[: PROMPTS - len(own)])


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    longest = max((len(one) for one in lists), default=0)
    return [one[at] for at in range(longest) for one in lists if at < len(one)]


@lru_cache(maxsize=64)
def _beginnings_of(path: Path, fingerprint: str, tokenizer_hash: str) -> tuple[str, ...]:
    """What the first held-out documents of a corpus begin with; a plan asks at every keystroke."""
    corpus = open_corpus(path)
    store = corpus.token_store(tokenizer_hash)
    found: list[str] = []
    with closing(corpus.documents) as documents:
        ordered = in_hash_order(store, documents.records, "validation")
        for position in ordered[:_LOOKED_AT]:
            number = int(store.documents[position])
            # Four bytes a character at most, and as much again behind the prompt.
            data = documents.piece(number, 0, 8 * CHARACTERS)
            prompt = _beginning(data.decode("utf-8", errors="ignore"))
            if prompt and prompt not in found:
                found.append(prompt)
            if len(found) == PROMPTS:
                break
    return tuple(found)


def _beginning(text: str) -> str:
    """The first words of a text that goes on behind them, or ""."""
    text = text.lstrip()
    if len(text) < 2 * CHARACTERS:
        return ""
    words = text[:CHARACTERS]
    cut = max(words.rfind(white) for white in " \n\t")
    # Scripts without spaces are cut anywhere.
    return (words[:cut] if cut > CHARACTERS // 2 else words).rstrip()
