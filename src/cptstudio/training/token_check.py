"""Do the tokens of a run have rows in its model's embedding? Asked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.tokenizer import ids_with_specials
from cptstudio.lm.vocabulary import beyond_sentence, ids_beyond, template_ids_beyond

Encode = Callable[[str], Sequence[int]]


def corpora_without_rows(
    corpora: Sequence[Corpus], tokenizer_hash: str, rows: int | None, model: Path
) -> list[str]:
    """Say of each corpus that holds ids without rows which they are.

    Args:
        corpora: tokenised by the model's tokenizer.
        rows: of the embedding; None where that is unknown.
    """
    if rows is None:
        return []
    stores = [(corpus.name, corpus.token_store(tokenizer_hash)) for corpus in corpora]
    return [
        beyond_sentence(f"The corpus {name!r}", beyond, rows, model)
        for name, store in stores
        if (beyond := store.tokens_beyond(rows))
    ]


def prompts_without_rows(
    prompts: Sequence[str],
    vocabulary_size: int,
    rows: int | None,
    model: Path,
    encode: Encode | None = None,
) -> list[str]:
    """Say of each prompt that holds ids without rows which they are.

    Args:
        vocabulary_size: of the tokenizer; where all of it has rows, no prompt is looked at.
        rows: of the embedding; None where that is unknown.
        encode: the tokenizer that will be used; None reads tokenizer.json without transformers.
    """
    if rows is None or vocabulary_size <= rows:
        return []
    encode = encode or (lambda prompt: ids_with_specials(model, prompt))
    return [
        beyond_sentence(f"The prompt {prompt[:40]!r}", beyond, rows, model)
        for prompt in prompts
        if (beyond := ids_beyond(encode(prompt), rows))
    ]


def template_warning(vocabulary_size: int, rows: int | None, model: Path) -> list[str]:
    """Say which tokens of the chat template have no rows: training goes, a chat does not."""
    if rows is None or vocabulary_size <= rows:
        return []
    beyond = template_ids_beyond(model, rows)
    return [beyond_sentence("The model's chat template", beyond, rows, model)] if beyond else []
