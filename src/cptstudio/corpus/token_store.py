"""The tokens of a corpus under one tokenizer, memory-mapped.

A token store is a folder:

    tokens.bin         the documents' tokens one after the other, uint16 or uint32 little-endian
    offsets.npy        int64 [documents + 1], where each document starts in tokens.bin
    sides.npy          uint8 [documents], index into `SIDES`
    byte_lengths.npy   int64 [documents], UTF-8 bytes of each document's cleaned text
    documents.npy      int64 [documents], each one's number in the document store
    manifest.json      `TokenManifest`, written last

Tokens are those of the text alone. Beginning- and end-of-sequence tokens are added when rows
are made, so one store serves every packing and the evaluation.

A store of conversations has one more file, and its tokens are all that a chat template writes, so
that nothing is added to them. Several of its documents may be one conversation's, an answer each;
their byte lengths are those of the answers.

    counts.bin         bool [tokens], a byte each, which of them are the model's answers
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, ValidationError

from cptstudio import durable
from cptstudio.corpus.tokenizer_loss import TokenizerLoss
from cptstudio.errors import UserError
from cptstudio.validation import LateModel, sentences

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = get_args(Side)
TOKENS = "tokens.bin"
ARRAYS = ("offsets.npy", "sides.npy", "byte_lengths.npy", "documents.npy")
COUNTS = "counts.bin"
MANIFEST = "manifest.json"
TOKEN_STORE_FORMAT = 1
SMALL_STORE = 64 * durable.MEBIBYTE
_LARGEST_TOKEN = "largest_token.json"
_INTACT = "intact.json"
_PART = 1 << 22


class TokenizerFacts(LateModel):
    """The facts about a tokenizer that the rest of the studio needs.

    Attributes:
        hash: identifies its behavior, see `tokenizer.tokenizer_hash`.
        vocabulary_size: one more than the largest token id.
        bos: beginning-of-sequence token id, if it has one.
        eos: end-of-sequence token id, if it has one.
        adds_bos: whether the tokenizer itself puts `bos` before a text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: str
    vocabulary_size: int
    bos: int | None
    eos: int | None
    adds_bos: bool

    @property
    def end(self) -> int:
        """The token that ends a document: EOS, or BOS for a tokenizer without EOS."""
        if self.eos is not None:
            return self.eos
        assert self.bos is not None, "a tokenizer with neither was refused when it was loaded"
        return self.bos

    @property
    def start(self) -> int:
        """The token before a document's first one: BOS where the tokenizer adds it, else EOS."""
        return self.bos if self.adds_bos and self.bos is not None else self.end


class RefusedAnswers(LateModel):
    """Answers that a token store of conversations leaves out.

    Attributes:
        reason: why.
        answers: how many.
        example: number of the first conversation of them in the document store.
        detail: what it was about there.
    """

    model_config = ConfigDict(extra="forbid")

    reason: str
    answers: int
    example: int
    detail: str


class ConversationFacts(LateModel):
    """How conversations became tokens.

    Attributes:
        template: hash of the chat template, `ModelTemplate.hash`.
        date: that a template which writes today's found instead; None where it writes none.
        end: the token that ends an answer, where the template always writes the same.
        whole: conversations that are one text with all their answers.
        by_answer: conversations of which each answer is a text of its own, since the template
            writes earlier turns differently later on.
        answers: how many there are.
        straddling: tokens that lie across an answer's beginning, and do not count.
        turns_after: turns behind the last answer, which are left out.
        reasoning_left_out: answers whose reasoning the template does not write.
        refused: answers that are left out.
    """

    model_config = ConfigDict(extra="forbid")

    template: str
    date: str | None
    end: str | None
    whole: int
    by_answer: int
    answers: int
    straddling: int
    turns_after: int
    reasoning_left_out: int
    refused: list[RefusedAnswers]


class TokenManifest(LateModel):
    """The token store's manifest.json; sizes in bytes, hashes SHA-256 in hexadecimal.

    Attributes:
        largest_token: -1 where there is no token; None in stores of before it was kept, see
            `TokenStore.largest_token`.
        unknown_tokens: how many of the tokens stand for what the tokenizer does not know.
        loss: what a sample of the documents loses; both None in older stores.
        conversations: how conversations became tokens; None for documents.
        counted: by side, how many tokens count; None for documents, where all do.
    """

    model_config = ConfigDict(extra="forbid")

    format: int
    corpus_fingerprint: str
    fingerprint: str
    tokenizer: TokenizerFacts
    dtype: Literal["uint16", "uint32"]
    documents: dict[str, int]
    tokens: dict[str, int]
    text_bytes: dict[str, int]
    dropped_tokens: dict[str, int]
    inexact_cuts: int
    largest_token: int | None = None
    unknown_tokens: int | None = None
    loss: TokenizerLoss | None = None
    conversations: ConversationFacts | None = None
    counted: dict[str, int] | None = None
    files: dict[str, tuple[int, str]]


class TokenStore:
    """Reads a token store; arrays are memory-mapped and read-only.

    Args:
        folder: the token store's folder.

    Attributes:
        manifest: its `TokenManifest`.
        tokens: integer array [tokens].
        offsets: int64 [documents + 1].
        sides: uint8 [documents].
        byte_lengths: int64 [documents].
        documents: int64 [documents], numbers in the document store.
        counts: bool [tokens], which of them count; None where all do.

    Raises:
        UserError: the store is missing, damaged, or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _read_manifest(folder)
        self._check_sizes()
        self.tokens = _map_tokens(folder / TOKENS, self.manifest.dtype)
        self.offsets = _map_array(folder / "offsets.npy", np.int64)
        self.sides = _map_array(folder / "sides.npy", np.uint8)
        self.byte_lengths = _map_array(folder / "byte_lengths.npy", np.int64)
        self.documents = _map_array(folder / "documents.npy", np.int64)
        self.counts = None
        if self.manifest.conversations is not None:
            self.counts = _map_tokens(folder / COUNTS, "bool")
        count = len(self.sides)
        lengths = (len(self.offsets) - 1, len(self.byte_lengths), len(self.documents))
        tokens = {len(self.tokens), *(() if self.counts is None else (len(self.counts),))}
        if any(length != count for length in lengths) or tokens != {int(self.offsets[-1])}:
            raise damaged(folder, "its arrays do not fit together")

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that determines the tokens, their order and their sides."""
        return self.manifest.fingerprint

    @property
    def tokenizer(self) -> TokenizerFacts:
        """Facts of the tokenizer that made the tokens."""
        return self.manifest.tokenizer

    @property
    def template(self) -> str | None:
        """Hash of the chat template that made them; None for documents."""
        facts = self.manifest.conversations
        return None if facts is None else facts.template

    @cached_property
    def largest_token(self) -> int:
        """The largest token id that occurs; -1 where there is none.

        A store of before it was kept in the manifest is read for it once; the number is kept
        beside, where that can be written.
        """
        if self.manifest.largest_token is not None:
            return self.manifest.largest_token
        kept, of = self.folder / _LARGEST_TOKEN, self.manifest.files[TOKENS][1]
        try:
            known = durable.read_json(kept)
            if known["of"] == of:
                return int(known["largest_token"])
        except (OSError, UserError, KeyError, TypeError, ValueError):
            pass
        found = max(
            (
                int(self.tokens[start : start + _PART].max())
                for start in range(0, len(self.tokens), _PART)
            ),
            default=-1,
        )
        with contextlib.suppress(OSError):
            durable.write_json(kept, {"of": of, "largest_token": found})
        return found

    def tokens_beyond(self, rows: int | None) -> list[int]:
        """Return the ids that occur, start and end tokens included, and are no less than `rows`."""
        if rows is None:
            return []
        found = {one for one in (self.tokenizer.start, self.tokenizer.end) if one >= rows}
        if self.largest_token >= rows:
            for start in range(0, len(self.tokens), _PART):
                part = self.tokens[start : start + _PART]
                found.update(int(one) for one in np.unique(part[part >= rows]))
        return sorted(found)

    def documents_of(self, side: Side) -> npt.NDArray[np.uint32]:
        """Return the positions in this store of the documents of one side, ascending."""
        return np.flatnonzero(self.sides == SIDES.index(side)).astype(np.uint32)

    def document_tokens(self, position: int) -> npt.NDArray[Any]:
        """Return the tokens of the document at a position of this store, a view."""
        start, stop = int(self.offsets[position]), int(self.offsets[position + 1])
        return self.tokens[start:stop]

    def document_counts(self, position: int) -> npt.NDArray[np.bool_] | None:
        """Return which of these tokens count, a view; None where all do."""
        if self.counts is None:
            return None
        start, stop = int(self.offsets[position]), int(self.offsets[position + 1])
        found: npt.NDArray[np.bool_] = self.counts[start:stop]
        return found

    def verify(self) -> None:
        """Compare every file's SHA-256 with the manifest, and the manifest with its fingerprint.

        Raises:
            UserError: names the first file that differs.
        """
        for name, (_, expected) in self.manifest.files.items():
            found = durable.sha256_of_file(self.folder / name)
            if found != expected:
                raise damaged(
                    self.folder,
                    f"the content of {name} has changed: its SHA-256 is {found[:12]}…, "
                    f"but {expected[:12]}… was expected",
                )
        if store_fingerprint(self.tokenizer.hash, self.manifest.files) != self.fingerprint:
            raise damaged(self.folder, f"its {MANIFEST} was edited")

    def check_intact(self, *, all_of_it: bool = False) -> None:
        """Verify what a run is about to read, as far as something speaks for a change.

        A store of up to `SMALL_STORE` bytes is read whole each time. Of a larger one sizes,
        times and inodes are compared with those of the last time that it was read whole, or
        written; it is read again where these differ, as after a copy.

        Args:
            all_of_it: read it whole in any case.

        Raises:
            UserError: names the first file that differs.
        """
        signature = self._signature()
        size = sum(size for size, _ in self.manifest.files.values())
        if not all_of_it and size > SMALL_STORE and self._known_signature() == signature:
            return
        self.verify()
        self.keep_signature(signature)

    def keep_signature(self, signature: list[list[Any]] | None = None) -> None:
        """Note that the files are what was written, as they are now; best effort."""
        record = {"of": self.fingerprint, "files": signature or self._signature()}
        with contextlib.suppress(OSError):
            durable.write_json(self.folder / _INTACT, record)

    def _signature(self) -> list[list[Any]]:
        return [
            list(entry)
            for entry in durable.folder_signature(self.folder)
            if entry[0] in self.manifest.files or entry[0] == MANIFEST
        ]

    def _known_signature(self) -> Any:
        try:
            known = durable.read_json(self.folder / _INTACT)
            return known["files"] if known["of"] == self.fingerprint else None
        except (OSError, UserError, KeyError, TypeError):
            return None

    def _check_sizes(self) -> None:
        more = (COUNTS,) if self.manifest.conversations is not None else ()
        for name in (TOKENS, *ARRAYS, *more):
            if name not in self.manifest.files:
                raise damaged(self.folder, f"{name} is not in its manifest")
        for name, (expected, _) in self.manifest.files.items():
            try:
                with durable.open_regular_file(self.folder / name) as file:
                    size = file.seek(0, 2)
            except FileNotFoundError:
                raise damaged(self.folder, f"{name} is missing") from None
            if size != expected:
                raise damaged(self.folder, f"{name} has {size:,} bytes instead of {expected:,}")


def store_fingerprint(tokenizer_hash: str, files: Mapping[str, tuple[int, str]]) -> str:
    """Return the SHA-256 over the tokenizer and the contents of the files."""
    content = hashlib.sha256(tokenizer_hash.encode())
    for name in sorted(files):
        content.update(f"{name} {files[name][1]}\n".encode())
    return content.hexdigest()


def damaged(folder: Path, reason: str) -> UserError:
    """Return the error for tokens or documents on disk that cannot be trusted."""
    return UserError(f"{folder} is damaged: {reason}. Build the corpus again.")


def _read_manifest(folder: Path) -> TokenManifest:
    try:
        manifest = TokenManifest.model_validate(durable.read_json(folder / MANIFEST))
    except FileNotFoundError:
        raise UserError(f"{folder} has no tokens: its manifest.json is missing.") from None
    except ValidationError as error:
        raise damaged(
            folder,
            f"invalid manifest.json ({sentences(error, TokenManifest)[0].rstrip('.')})",
        ) from None
    if manifest.format != TOKEN_STORE_FORMAT:
        raise UserError(
            f"{folder} has token format {manifest.format}, but this version reads "
            f"{TOKEN_STORE_FORMAT}. Build the corpus again."
        )
    return manifest


def _map_tokens(path: Path, dtype: str) -> npt.NDArray[Any]:
    kind = np.dtype(dtype).newbyteorder("<")
    # An empty file cannot be memory-mapped.
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, kind)


def _map_array(path: Path, dtype: type[np.generic]) -> npt.NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise damaged(path.parent, f"could not read {path.name} ({error})") from None
    if array.dtype != dtype or array.ndim != 1:
        raise damaged(
            path.parent, f"{path.name} contains {array.dtype} with {array.ndim} dimensions"
        )
    result: npt.NDArray[Any] = array
    return result
