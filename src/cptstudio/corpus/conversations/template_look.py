"""How one conversation looks in a model's chat template, and which parts of it are answers."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from cptstudio.corpus.conversations.answers import AnswerText
from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.conversations.tokenising import answer_finder
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.tokenizer import CorpusTokenizer
from cptstudio.errors import UserError

MOST: Final = 200_000
"""Characters of all texts that are shown."""


def look(corpus: Corpus, number: int, tokenizer: CorpusTokenizer) -> dict[str, Any]:
    """Return a conversation as the model reads it: the fields of `TemplateLook`.

    Raises:
        UserError: there is no such conversation, or the model has no template.
    """
    if corpus.manifest.settings.kind != "conversations":
        raise UserError(f"{corpus.name} is a corpus of documents, which no template is applied to.")
    with closing(corpus.documents) as store:
        if not 0 <= number < len(store):
            raise UserError(f"The corpus {corpus.name!r} has no conversation {number + 1:,}.")
        conversation = Conversation.from_json(store.text(number))
    with closing(TemplateRenderer()) as renderer:
        finder = answer_finder(tokenizer, renderer)
        (found,) = finder.find([conversation])
    room = MOST
    texts = []
    for one in found.texts:
        if room <= 0:
            break
        texts.append(_pieces(one, room))
        room -= len(one.text)
    return {
        "texts": texts,
        "shortened": room < 0 or len(texts) < len(found.texts),
        "refused": list(found.refused),
        "detail": found.detail,
        "after": found.after,
        "thoughtless": found.thoughtless,
        "end": finder.end,
    }


def _pieces(text: AnswerText, most: int) -> list[dict[str, Any]]:
    parts: list[tuple[str, bool]] = []
    place = 0
    for start, stop in text.answers:
        parts += [(text.text[place:start], False), (text.text[start:stop], True)]
        place = stop
    pieces = []
    for part, counts in [*parts, (text.text[place:], False)]:
        if part and most > 0:
            pieces.append({"text": part[:most], "counts": counts})
            most -= len(part)
    return pieces
