"""Token ids against the rows of a model's embedding. Imports no MLX.

A tokenizer may know more tokens than its model has rows for, as when tokens were added and the
model was not resized. MLX reads outside an array without a word, so every id is compared with the
rows before a model sees it: at planning what the corpora hold, and at last what goes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cptstudio.durable import parse_foreign_json, read_bytes, read_foreign_json, real_path
from cptstudio.errors import UserError

EMBEDDING_NAMES: Final = frozenset(
    {
        "embed", "embed_in", "embed_tokens", "embedding", "embeddings", "tok_embeddings",
        "token_embeddings", "word_embeddings", "wte",
    }
)  # fmt: skip
"""What mlx-lm's networks and the published files call the table of tokens."""

HEAD_NAMES: Final = frozenset({"embed_out", "head", "lm_head", "output", "output_layer"})
_OTHER_SENSES: Final = ("audio", "vision", "visual")
_NAMED: Final = 8


def embedding_rows(shapes: Mapping[str, Sequence[int]], said: int | None) -> int | None:
    """Return how many token ids a model has rows for: those below it.

    Args:
        shapes: of all arrays by name, such as "model.embed_tokens.weight". Packed ones count too:
            packing leaves the number of rows as it is.
        said: what the configuration says, for a model whose table has an unknown name.

    Returns:
        The smaller of embedding and head, since a token is an input and a target; None where
        neither is found and the configuration is silent.
    """
    rows = []
    for name, shape in shapes.items():
        *parts, leaf = name.split(".")
        if leaf != "weight" or len(shape) != 2 or not parts:
            continue
        if any(sense in part for part in parts for sense in _OTHER_SENSES):
            continue
        of_a_layer = any(part.isdigit() for part in parts)
        if parts[-1] in EMBEDDING_NAMES or (parts[-1] in HEAD_NAMES and not of_a_layer):
            rows.append(int(shape[0]))
    return min(rows, default=said)


def ids_beyond(ids: Iterable[int] | npt.NDArray[Any], rows: int | None) -> list[int]:
    """Return the distinct ids for which there is no row, ascending."""
    if rows is None:
        return []
    found = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
    if not found.size or (int(found.max()) < rows and int(found.min()) >= 0):
        return []
    found = found.astype(np.int64)
    return [int(one) for one in np.unique(found[(found >= rows) | (found < 0)])]


def check_ids(
    ids: Iterable[int] | npt.NDArray[Any], rows: int | None, what: str, folder: Path | None
) -> None:
    """Refuse ids for which the embedding has no rows.

    Args:
        rows: of the embedding; None where that is unknown.
        what: whose they are, for the message, such as "The prompt".
        folder: the model's, whose tokenizer tells the tokens' texts.

    Raises:
        UserError: names the ids, their texts, and how many rows there are.
    """
    beyond = ids_beyond(ids, rows)
    if beyond:
        assert rows is not None
        raise UserError(beyond_sentence(what, beyond, rows, folder))


def beyond_sentence(what: str, beyond: Sequence[int], rows: int, folder: Path | None) -> str:
    """Say that something holds ids for which there are no rows, and what to do."""
    texts = token_texts(folder, set(beyond[:_NAMED])) if folder is not None else {}
    named = [f"{one} ({texts[one]!r})" if one in texts else str(one) for one in beyond[:_NAMED]]
    more = f" and {len(beyond) - _NAMED:,} more" if len(beyond) > _NAMED else ""
    plural = "s" if len(beyond) > 1 else ""
    return (
        f"{what} contains the token id{plural} {', '.join(named)}{more}, but the model's "
        f"embedding has {rows:,} rows: ids 0 to {rows - 1}. The tokenizer has more tokens "
        "than the model. Use a model whose embedding was resized, or remove these tokens "
        "from the tokenizer (tokenizer.json) and tokenize again."
    )


def token_texts(folder: Path, wanted: set[int]) -> dict[int, str]:
    """Return the texts of some ids as tokenizer.json spells them; those it knows."""
    try:
        content = read_foreign_json(folder / "tokenizer.json")
        found = {one["id"]: one["content"] for one in content.get("added_tokens") or ()}
        vocabulary = content["model"].get("vocab")
        if isinstance(vocabulary, dict):
            found |= {id: text for text, id in vocabulary.items() if id in wanted}
        elif isinstance(vocabulary, list):
            found |= {id: vocabulary[id][0] for id in wanted if id < len(vocabulary)}
    except (OSError, UserError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return {}
    return {id: str(text) for id, text in found.items() if id in wanted}


def template_ids_beyond(folder: Path, rows: int | None) -> list[int]:
    """Return the ids of added tokens that the chat template spells and no row is there for."""
    if rows is None:
        return []
    try:
        content = read_foreign_json(folder / "tokenizer.json")
        added = {int(one["id"]): str(one["content"]) for one in content["added_tokens"]}
    except (OSError, UserError, ValueError, TypeError, KeyError):
        return []
    if not any(id >= rows for id in added):
        return []
    template = _template(folder)
    return sorted(id for id, text in added.items() if id >= rows and text and text in template)


def _template(folder: Path) -> str:
    parts = []
    for name in ("chat_template.jinja", "chat_template.json", "tokenizer_config.json"):
        try:
            text = read_bytes(real_path(folder / name)).decode("utf-8", "replace")
            if name.endswith(".json"):
                text = str(parse_foreign_json(text).get("chat_template") or "")
            parts.append(text)
        except (OSError, UserError, ValueError, AttributeError):
            continue
    return "\n".join(parts)
