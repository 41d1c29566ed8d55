"""A model's own tokenizer, as the corpus uses it.

The text of a document is only text: the spelling of a special token inside it, such as
`<|endoftext|>` in a manual about tokenizers, is encoded as the characters that it is, so that no
document can end itself. (A Unigram model that lists the spelling among its own pieces, as those
do that `tokenizers` trained, still yields it.)
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.conversations.model_template import ModelTemplate, template_of
from cptstudio.corpus.token_store import TokenizerFacts
from cptstudio.durable import check_plain_files
from cptstudio.errors import UserError
from cptstudio.model_bounds import check_model_folder
from cptstudio.workspace import why_model_is_absent

TokenIds = npt.NDArray[np.uint32]
_IMPORTING = threading.Lock()


class CorpusTokenizer:
    """Encodes text without special tokens.

    Attributes:
        facts: what identifies it, and its special tokens.
        backend: the `tokenizers.Tokenizer` under it.
        unknown: id of the token that stands for what it does not know, if it has one.
        template: the model's chat template, if it has one.
    """

    def __init__(
        self,
        backend: Any,
        bos: int | None,
        eos: int | None,
        adds_bos: bool,
        template: ModelTemplate | None = None,
    ) -> None:
        self.template = template
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self.backend = backend
        vocabulary = backend.get_vocab(with_added_tokens=True)
        description = json.loads(backend.to_str())
        self.unknown = _unknown(description["model"], vocabulary)
        self.facts = TokenizerFacts(
            hash=_behaviour_hash(description, bos, eos, adds_bos),
            vocabulary_size=max(vocabulary.values(), default=-1) + 1,
            bos=bos,
            eos=eos,
            adds_bos=adds_bos,
        )

    def encode_batch(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the token ids of each text, encoded on all cores."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [token_ids(encoding.ids) for encoding in encodings]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of some tokens, special ones included."""
        text: str = self.backend.decode(list(tokens), skip_special_tokens=False)
        return text


def token_ids(ids: Sequence[int]) -> TokenIds:
    """Return the token ids as an array; twice as fast as numpy's own conversion of a list."""
    return np.frombuffer(array("I", ids), dtype=np.uint32)


def _unknown(model: dict[str, Any], vocabulary: dict[str, int]) -> int | None:
    """The id of the unknown token by tokenizer.json's "model": named, or numbered (Unigram)."""
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    return vocabulary.get(model.get("unk_token") or "")


def _behaviour_hash(
    description: dict[str, Any], bos: int | None, eos: int | None, adds_bos: bool
) -> str:
    """SHA-256 of what decides the tokens of a text.

    It is taken of the loaded tokenizer, not of its files, which a checkpoint may hold in
    another spelling.
    """
    for key in ("truncation", "padding", "post_processor", "decoder"):
        description.pop(key, None)
    text = json.dumps([description, bos, eos, adds_bos], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def ids_with_specials(folder: Path, text: str) -> list[int]:
    """Return the ids of a text in which special tokens are meant, by tokenizer.json alone.

    Returns:
        No ids where there is no such file, or where it cannot be read.
    """
    from tokenizers import Tokenizer

    try:
        backend: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        ids: list[int] = backend.encode(text, add_special_tokens=True).ids
    # The library raises Exception itself for a file that it cannot read.
    except Exception:
        return []
    return ids


def check_folder(model_path: Path | str) -> Path:
    """Return the folder of a local model, in which nothing makes a reader wait for ever.

    Raises:
        UserError: it is none, a file in it is a pipe or a device, or its configuration, which
            transformers reads beside the tokenizer, holds numbers that are no model's.
    """
    folder = Path(model_path).expanduser()
    absence = why_model_is_absent(folder)
    if absence is not None:
        raise UserError(absence)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Choose the folder of a local model.")
    check_plain_files(folder)
    check_model_folder(folder)
    return folder


def load_tokenizer(model_path: Path | str) -> CorpusTokenizer:
    """Return the tokenizer in a local model folder.

    Raises:
        UserError: the folder holds none, or none that can mark the end of a document.
    """
    folder = check_folder(model_path)
    # Its parallel encoding is used after processes were started, never across a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    # transformers fills its names in late: a second thread that imports it meanwhile misses them.
    with _IMPORTING:
        from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # Whatever a foreign folder makes the library raise, the reason belongs to the user.
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{folder} has no tokenizer that transformers can load: "
            f"{reason[0] if reason else type(error).__name__}"
        ) from None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"The tokenizer in {folder} has no fast version (tokenizer.json). Convert it "
            "with transformers' convert_slow_tokenizer first."
        )
    _check_words(folder, tokenizer, backend)
    bos, eos, adds_bos = _special_tokens(tokenizer)
    if bos is None and eos is None:
        raise UserError(
            f"The tokenizer in {folder} has neither an end-of-sequence nor a "
            "beginning-of-sequence token. Set one in its tokenizer_config.json."
        )
    return CorpusTokenizer(backend, bos, eos, adds_bos, template_of(tokenizer))


def _special_tokens(tokenizer: Any) -> tuple[int | None, int | None, bool]:
    """Ids of BOS and EOS, and whether the tokenizer itself puts BOS first."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    first = tokenizer("a", add_special_tokens=True)["input_ids"][:1]
    return bos, eos, bos is not None and first == [bos]


def behaviour_hash_of(tokenizer: Any) -> str | None:
    """The hash that `TokenizerFacts` has of a tokenizer that transformers has loaded already.

    Args:
        tokenizer: transformers' own, or mlx-lm's wrapper around it; it is left as it is.

    Returns:
        None where it has no fast form.
    """
    inner = getattr(tokenizer, "_tokenizer", None)
    own = inner if hasattr(inner, "backend_tokenizer") else tokenizer
    backend = getattr(own, "backend_tokenizer", None)
    if backend is None:
        return None
    return _behaviour_hash(json.loads(backend.to_str()), *_special_tokens(own))


def _check_words(folder: Path, tokenizer: Any, backend: Any) -> None:
    """Refuse a vocabulary of special tokens alone, which turns every text into nothing.

    transformers makes one where the files of the vocabulary are missing or hold none.
    """
    special = set(tokenizer.all_special_tokens)
    special |= {one.content for one in backend.get_added_tokens_decoder().values() if one.special}
    words = set(backend.get_vocab(with_added_tokens=False)) - special
    if not words:
        found = ", ".join(sorted(special)[:5]) or "none"
        raise UserError(
            f"The tokenizer has no vocabulary: {folder} contains only special tokens "
            f"({found}). The vocabulary file is missing (tokenizer.json, vocab.json and "
            "merges.txt, or tokenizer.model). Copy it from where you got the model."
        )
