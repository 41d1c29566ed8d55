"""Conversations of a corpus to a token store, by the model's own chat template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.conversations.answers import AnswerFinder, Found
from cptstudio.corpus.conversations.chat_templates import FIXED_DATE, TemplateRenderer
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.conversations.encoding import ConversationEncoder, Encoded
from cptstudio.corpus.conversations.model_template import ModelTemplate
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.token_store import SIDES, ConversationFacts, RefusedAnswers
from cptstudio.corpus.token_writer import TokenStoreWriter
from cptstudio.corpus.tokenizer import CorpusTokenizer
from cptstudio.corpus.tokenizer_loss import TokenizerLoss
from cptstudio.errors import UserError

STRADDLED: Final = "no token of it lies wholly inside the answer"
_DETAIL: Final = 200
"""Characters of a template's own words that are kept."""
_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 1 << 20


def template_needed(tokenizer: CorpusTokenizer) -> ModelTemplate:
    """Return the model's chat template.

    Raises:
        UserError: it has none.
    """
    if tokenizer.template is None:
        raise UserError(
            "The model has no chat template, so conversations cannot be put into its form. Choose "
            "an instruct model, or add its chat_template.jinja to the model's folder."
        )
    return tokenizer.template


def answer_finder(tokenizer: CorpusTokenizer, renderer: TemplateRenderer) -> AnswerFinder:
    """Return what finds the answers in texts of the model's template.

    Raises:
        UserError: the model has no template, or it does not come to an end.
    """
    added = {
        one.content: bool(one.special)
        for one in tokenizer.backend.get_added_tokens_decoder().values()
    }
    return AnswerFinder(template_needed(tokenizer), renderer, added)


def tokenise_conversations(
    store: DocumentStore,
    folder: Path,
    tokenizer: CorpusTokenizer,
    corpus_fingerprint: str,
    loss: TokenizerLoss | None,
    meter: ProgressMeter,
) -> None:
    """Write the token store of a corpus of conversations into a new folder.

    Args:
        loss: what the tokenizer loses of a sample of them.

    Raises:
        UserError: the model has no template, the template does not come to an end, or no answer
            of any conversation is certain; says why.
    """
    template = template_needed(tokenizer)
    writer = TokenStoreWriter(
        folder, tokenizer.facts, corpus_fingerprint, tokenizer.unknown, loss, counts=True
    )
    encoder = ConversationEncoder(tokenizer.backend)
    tally = _Tally()
    with closing(TemplateRenderer()) as renderer:
        finder = answer_finder(tokenizer, renderer)
        for numbers in _batches(store):
            texts = [store.text(number) for number in numbers]
            found = finder.find([Conversation.from_json(text) for text in texts])
            encoded = iter(encoder.encode([text for one in found for text in one.texts]))
            for number, text, one in zip(numbers, texts, found, strict=True):
                status = int(store.records["status"][number])
                own = [next(encoded) for _ in one.texts]
                _write(writer, tally, own, one, number, status)
                meter.bytes_done += len(text.encode("utf-8"))
            meter.tell()
    if not tally.conversations:
        raise _nothing(tally)
    writer.conversations = tally.facts(template, finder.end)
    writer.finish()


def _batches(store: DocumentStore) -> Iterator[list[int]]:
    """Numbers of the kept and the dropped conversations, but for exact duplicates."""
    status = np.asarray(store.records["status"])
    lengths = np.asarray(store.records["length"])
    batch: list[int] = []
    size = 0
    for number in np.flatnonzero(status < len(SIDES)).tolist():
        if batch and (len(batch) == _AT_ONCE or size + int(lengths[number]) > _BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += int(lengths[number])
    if batch:
        yield batch


class _Tally:
    """What became of the conversations and their answers."""

    def __init__(self) -> None:
        self.conversations = self.whole = self.by_answer = self.answers = 0
        self.straddling = self.after = self.thoughtless = 0
        self.refused: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, str]] = {}

    def refuse(self, reason: str, number: int, detail: str) -> None:
        self.refused[reason] += 1
        self.examples.setdefault(reason, (number, detail[:_DETAIL]))

    def facts(self, template: ModelTemplate, end: str | None) -> ConversationFacts:
        return ConversationFacts(
            template=template.hash,
            date=FIXED_DATE if template.writes_date else None,
            end=end,
            whole=self.whole,
            by_answer=self.by_answer,
            answers=self.answers,
            straddling=self.straddling,
            turns_after=self.after,
            reasoning_left_out=self.thoughtless,
            refused=[
                RefusedAnswers(
                    reason=reason,
                    answers=count,
                    example=self.examples[reason][0],
                    detail=self.examples[reason][1],
                )
                for reason, count in self.refused.most_common()
            ],
        )


def _write(
    writer: TokenStoreWriter,
    tally: _Tally,
    encoded: list[Encoded],
    found: Found,
    number: int,
    status: int,
) -> None:
    for reason in found.refused:
        tally.refuse(reason, number, found.detail)
    kept = []
    for text, one in zip(found.texts, encoded, strict=True):
        if one.whole:
            kept.append(one)
            tally.answers += len(text.answers)
            tally.straddling += one.straddling
        else:
            for _ in text.answers:
                tally.refuse(STRADDLED, number, "")
    if not kept:
        return
    tally.conversations += 1
    tally.after += found.after
    tally.thoughtless += found.thoughtless
    alone = len(found.texts) == 1 and not found.refused
    tally.whole += alone
    tally.by_answer += not alone
    for one in kept:
        writer.extend(one.tokens, one.counts)
        writer.end_document(SIDES[status], one.byte_length, number)


def _nothing(tally: _Tally) -> UserError:
    reasons = [
        f"{reason}{f' ({tally.examples[reason][1]})' if tally.examples[reason][1] else ''}: "
        f"{count:,} answers"
        for reason, count in tally.refused.most_common()
    ]
    return UserError(
        "With the model's chat template it is not certain of any answer which tokens are the "
        "model's, so nothing can be trained on:",
        reasons or ["the corpus has no conversation on any side"],
    )
