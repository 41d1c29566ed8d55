"""How likely models find texts: loss, perplexity, bits per byte, and the nats of every token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Score
from cptstudio.evaluation.model_set import HeldModel
from cptstudio.evaluation.windows import common_context
from cptstudio.lm.likelihood import Scores, score_tokens
from cptstudio.lm.vocabulary import check_ids

Progress = Callable[[int, int], None]


def score(models: Sequence[HeldModel], request: Score, progress: Progress) -> dict[str, Any]:
    """Score texts with several models, each with its own tokenizer.

    Returns, for each model, the sums over all texts and for each text; with `request.tokens` also
    every token's place in the text (characters) and its nats. Nats and bits per byte count the
    tokens of the text alone; the first one is predicted from the tokenizer's start token.
    """
    context = common_context([held.loaded.path for held in models], request.context_length)
    answers = []
    for number, held in enumerate(models):

        def tell(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(models) * total)

        answers.append(_score_one(held, request, context, tell))
    return {
        "context_length": context,
        "stride": min(request.stride or context, context),
        "models": answers,
    }


def _score_one(held: HeldModel, request: Score, context: int, tell: Progress) -> dict[str, Any]:
    encodings = held.tokenizer.backend.encode_batch(list(request.texts), add_special_tokens=False)
    rows, path = held.loaded.embedding_rows, held.loaded.path
    for encoding in encodings:
        check_ids(encoding.ids, rows, "The text", path)
    check_ids([held.tokenizer.facts.start], rows, "Each text's beginning", path)
    nats = score_tokens(
        held.loaded.model,
        [np.array(encoding.ids, dtype=np.int64) for encoding in encodings],
        start_token=held.tokenizer.facts.start,
        context_length=context,
        stride=request.stride,
        progress=tell,
    )
    check_scores(np.concatenate([np.zeros(0), *nats]), held.label, held.loaded.path)
    texts = []
    for text, encoding, of_text in zip(request.texts, encodings, nats, strict=True):
        entry: dict[str, Any] = sums(of_text, len(text.encode("utf-8", "surrogatepass")))
        if request.tokens:
            entry["ids"] = encoding.ids
            entry["places"] = [list(place) for place in encoding.offsets]
            entry["nats"] = of_text.tolist()
        texts.append(entry)
    whole = sums(np.concatenate(nats), sum(entry["bytes"] for entry in texts))
    return {
        "label": held.label,
        "tokenizer": held.tokenizer.facts.hash,
        "start": held.tokenizer.facts.start,
        **whole,
        "texts": texts,
    }


def check_scores(nats: npt.NDArray[np.float64], label: str, path: Path) -> None:
    """Raise a UserError where a model's scores are not finite: they compare with nothing."""
    broken = int((~np.isfinite(nats)).sum())
    if broken:
        raise UserError(
            f"{label} computes NaN or infinity in {broken:,} of {len(nats):,} scores. The "
            f"weights in {path} are damaged, or values overflow in this precision."
        )


def sums(nats: npt.NDArray[np.float64], utf8_bytes: int) -> dict[str, Any]:
    """Return the `Scores.figures` of a text by its tokens' nats, and their sum."""
    total = float(nats.sum())
    scores = Scores(np.array([total]), np.array([len(nats)]), np.array([utf8_bytes]))
    return scores.figures() | {"total_nats": total}
