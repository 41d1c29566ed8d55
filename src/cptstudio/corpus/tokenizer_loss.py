"""Text that a tokenizer loses: characters that become the unknown token, or no token at all.

A byte-level tokenizer loses nothing. One of words or pieces without bytes below them turns what it
does not know into one and the same token, or drops it, and a model that is trained on such tokens
learns nothing of the text. Letters that are folded (upper to lower case, accents off) are not
counted as lost: the model was made like that; they are told.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from cptstudio.errors import UserError
from cptstudio.validation import LateModel

LARGEST_LOSS = 0.01
"""Share of the characters above which a corpus is not tokenised unless that is asked for."""

SAMPLE_TEXTS, SAMPLE_CHARACTERS = 400, 5_000
_EXAMPLES = 8
_FOLDED = 0.5


class Encoder(Protocol):
    """The part of a `CorpusTokenizer` that is needed here, which itself keeps a `TokenizerLoss`."""

    @property
    def backend(self) -> Any:
        """The `tokenizers.Tokenizer` under it."""

    @property
    def unknown(self) -> int | None:
        """Id of the unknown token."""


class TokenizerLoss(LateModel):
    """The loss found in a sample of the documents.

    Attributes:
        examined: characters that were looked at; white space and control characters are none.
        unknown: share of them that became the unknown token.
        vanished: share of them that is in no token.
        examples: the most frequent of the lost characters.
        folds: what the tokenizer makes equal before it looks: "case", "accents".
    """

    model_config = ConfigDict(extra="forbid")

    examined: int
    unknown: float
    vanished: float
    examples: str
    folds: list[str]

    @property
    def share(self) -> float:
        """Share of the characters that is lost in either way."""
        return self.unknown + self.vanished


def measure_loss(tokenizer: Encoder, texts: Iterable[str]) -> TokenizerLoss:
    """Encode texts and compare what the tokens cover with what is there."""
    examined = unknown = vanished = 0
    lost: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    for given in texts:
        # Composed, as most normalizers do it: a tokenizer that composes loses nothing by it.
        text = unicodedata.normalize("NFC", given)
        content = _content(text)
        covered, of_unknown = _coverage(tokenizer, text)
        of_unknown &= content
        gone = content & ~covered
        examined += int(content.sum())
        unknown += int(of_unknown.sum())
        vanished += int(gone.sum())
        lost.update(text[place] for place in np.flatnonzero(of_unknown | gone).tolist())
        marks.update(_foldable(tokenizer, text))
    total = max(1, examined)
    return TokenizerLoss(
        examined=examined,
        unknown=unknown / total,
        vanished=vanished / total,
        examples="".join(one for one, _ in lost.most_common(_EXAMPLES)),
        folds=[
            name
            for name in ("case", "accents")
            if marks[name] and marks[f"{name} kept"] < _FOLDED * marks[name]
        ],
    )


def refuse_loss(loss: TokenizerLoss) -> None:
    """Refuse a tokenizer that loses too much.

    Raises:
        UserError: says how much, with examples, and how to go on all the same.
    """
    if loss.share > LARGEST_LOSS:
        raise UserError(
            "The model's tokenizer cannot represent these documents: "
            f"{_shares(loss)}{_examples(loss)}. The model would not learn this part. Use "
            "a model whose tokenizer covers this text, or allow it: `cpt-studio corpus "
            "build --allow-lossy-tokenizer`, or “Allow a tokenizer that loses text”."
        )


def refuse_measuring(loss: TokenizerLoss, what: str) -> None:
    """Refuse to measure a model on what its tokenizer loses: that would cost it nothing.

    Raises:
        UserError: says how much is lost, with examples.
    """
    if loss.share > LARGEST_LOSS:
        raise UserError(
            f"The model's tokenizer cannot represent {what}: "
            f"{_shares(loss)}{_examples(loss)}. Bits per byte would count this part as "
            "predicted for free. Evaluate on other text."
        )


def loss_lines(loss: TokenizerLoss, unknown_tokens: int | None) -> list[str]:
    """Return sentences about a loss; empty if there is none.

    Args:
        loss: of a sample.
        unknown_tokens: how many there are in all the documents.
    """
    lines = []
    if loss.share:
        lines.append(f"The tokenizer loses text: {_shares(loss)}{_examples(loss)}.")
    if unknown_tokens:
        lines.append(f"{unknown_tokens:,} tokens are unknown tokens.")
    if loss.folds:
        what = " and ".join(
            {"case": "letter case", "accents": "accents"}[one] for one in loss.folds
        )
        lines.append(f"The tokenizer drops {what}, so the model cannot write them.")
    return lines


def _shares(loss: TokenizerLoss) -> str:
    parts = [
        f"{'under 0.01%' if share < 1e-4 else f'{share:.2%}'} of the characters {fate}"
        for share, fate in (
            (loss.unknown, "become the unknown token"),
            (loss.vanished, "are not in any token"),
        )
        if share
    ]
    return " and ".join(parts)


def _examples(loss: TokenizerLoss) -> str:
    return f" (such as {' '.join(loss.examples)})" if loss.examples else ""


def _content(text: str) -> npt.NDArray[np.bool_]:
    """Which characters are content, bool [characters]: no white space, control or accent."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    distinct, which = np.unique(codes, return_inverse=True)
    # An accent of its own belongs to the letter before it: losing it is folding.
    counts = [
        unicodedata.category(chr(code))[0] not in "CZ" and not unicodedata.combining(chr(code))
        for code in distinct.tolist()
    ]
    result: npt.NDArray[np.bool_] = np.array(counts, dtype=bool)[which.ravel()]
    return result


def _coverage(tokenizer: Encoder, text: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which characters lie in a token, and which in an unknown one; bool [characters] each."""
    encoding = tokenizer.backend.encode(text, add_special_tokens=False)
    places = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    ids = np.array(encoding.ids, dtype=np.int64)
    covered = _within(places, len(text))
    strange = np.zeros(len(ids), dtype=bool)
    if tokenizer.unknown is not None:
        strange = ids == tokenizer.unknown
    known = _within(places[~strange], len(text))
    return covered, covered & ~known


def _within(places: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.bool_]:
    edges = np.zeros(length + 1, dtype=np.int64)
    np.add.at(edges, places[:, 0], 1)
    np.add.at(edges, places[:, 1], -1)
    result: npt.NDArray[np.bool_] = np.cumsum(edges[:-1]) > 0
    return result


def _foldable(tokenizer: Encoder, text: str) -> dict[str, int]:
    normalizer = tokenizer.backend.normalizer
    if normalizer is None:
        return {}
    normal = normalizer.normalize_str(text)
    return {
        "case": _upper(text),
        "case kept": _upper(normal),
        "accents": _accents(text),
        "accents kept": _accents(normal),
    }


def _upper(text: str) -> int:
    return sum(map(str.isupper, text))


def _accents(text: str) -> int:
    if text.isascii():
        return 0
    return sum(1 for one in unicodedata.normalize("NFD", text) if unicodedata.combining(one))
