"""Decodes training rows for whoever asks: `python -m cptstudio.corpus.sample_program`.

One request a line on standard input, one answer a line on standard output, until the input
ends; it begins with {"ready": true}. It keeps the last tokenizer, so that the second page of rows
comes at once, and it keeps its asker free of the tokenizer libraries. With a document's number the
rows begin with its first one.

    {"corpus": FOLDER, "model": FOLDER, "rows": 3, "sequence_length": 512, "packing": "concat",
     "seed": 0, "first": 0, "document": null}
    -> {"result": {"rows": [...], "first": 0, "batches": N, "tokenizer": HASH}} or {"error": {...}}

Or how a conversation looks in the model's chat template, see `TemplateLook`:

    {"corpus": FOLDER, "model": FOLDER, "conversation": 0} -> {"result": {"texts": [...], ...}}
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.corpus.conversations.template_look import look
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.row_samples import rows_from, sample_order
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.light_imports import leave_out_torch

TEXT_LIMIT = 20_000
"""Characters of one part of a row that are answered."""

_ANSWER_LIMIT = 1_000_000


@lru_cache(maxsize=2)
def _tokenizer(model: str) -> CorpusTokenizer:
    return load_tokenizer(model)


def sample(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Answer one request."""
    corpus = open_corpus(Path(request["corpus"]))
    tokenizer = _tokenizer(request["model"])
    if "conversation" in request:
        return look(corpus, request["conversation"], tokenizer)
    shape = [request[name] for name in ("sequence_length", "packing", "seed")]
    order = sample_order(corpus, tokenizer, *shape)
    first, document = request["first"], request.get("document")
    if document is not None:
        place = order.first_batch_of(document)
        if place is None:
            raise UserError(f"Document {document + 1:,} is not in the training split.")
        first = place
    rows = rows_from(corpus, tokenizer, order, first, request["rows"])
    room = _ANSWER_LIMIT
    found = []
    for row in rows:
        facts = asdict(row)
        for part in facts["parts"]:
            allowed = max(0, min(TEXT_LIMIT, room))
            part["shortened"] = len(part["text"]) > allowed
            part["text"] = part["text"][:allowed]
            room -= len(part["text"])
        found.append(facts)
    return {
        "rows": found,
        "first": first,
        "batches": order.batches_per_epoch,
        "tokenizer": tokenizer.facts.hash,
    }


if __name__ == "__main__":
    sys.exit(job_programs.answer_requests(sample, leave_out_torch))
