"""Writes a token store, document by document, in memory that does not grow with the text."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from cptstudio import durable
from cptstudio.corpus.token_store import (
    ARRAYS,
    COUNTS,
    MANIFEST,
    SIDES,
    TOKEN_STORE_FORMAT,
    TOKENS,
    ConversationFacts,
    Side,
    TokenizerFacts,
    TokenManifest,
    TokenStore,
    store_fingerprint,
)
from cptstudio.corpus.tokenizer_loss import TokenizerLoss


class _HashedFile:
    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def close(self) -> tuple[int, str]:
        self._file.flush()
        durable.flush_to_disk(self._file.fileno())
        self._file.close()
        return self.size, self._hash.hexdigest()


class TokenStoreWriter:
    """Collects documents into a new token store.

    Args:
        folder: a folder that does not exist yet, in one that does; `finish` leaves it complete
            and flushed, and the caller renames it into place.
        tokenizer: facts of the tokenizer.
        corpus_fingerprint: of the documents.
        unknown: id of the tokenizer's unknown token, to be counted.
        loss: what a sample of the documents loses.
        counts: whether it is told of each token whether it counts.

    Attributes:
        conversations: to be set before `finish` where that is told.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer: TokenizerFacts,
        corpus_fingerprint: str,
        unknown: int | None = None,
        loss: TokenizerLoss | None = None,
        *,
        counts: bool = False,
    ) -> None:
        # With its parents it would make part of a workspace anew that was renamed meanwhile.
        folder.mkdir()
        self._folder = folder
        self._tokenizer = tokenizer
        self._corpus_fingerprint = corpus_fingerprint
        self.dtype: Literal["uint16", "uint32"] = (
            "uint16" if tokenizer.vocabulary_size <= 1 << 16 else "uint32"
        )
        self._kind = np.dtype(self.dtype).newbyteorder("<")
        self._tokens = _HashedFile(folder / TOKENS)
        self._offsets = array("q", [0])
        self._sides = array("B")
        self._bytes = array("q")
        self._documents = array("q")
        self.dropped_tokens: dict[str, int] = {}
        self.largest_token = -1
        self._unknown = unknown
        self._unknown_tokens = 0
        self._loss = loss
        self.inexact_cuts = 0
        self._counts = _HashedFile(folder / COUNTS) if counts else None
        self._counted = 0
        self._counted_by_side: dict[str, int] = dict.fromkeys(SIDES, 0)
        self.conversations: ConversationFacts | None = None

    def extend(self, tokens: npt.NDArray[Any], counts: npt.NDArray[np.bool_] | None = None) -> None:
        """Append tokens to the document that the next `end_document` completes."""
        if self._counts is not None:
            assert counts is not None and len(counts) == len(tokens)
            self._counts.write(np.ascontiguousarray(counts, dtype=np.bool_).data.cast("B"))
            self._counted += int(counts.sum())
        if len(tokens):
            self.largest_token = max(self.largest_token, int(tokens.max()))
            if self._unknown is not None:
                self._unknown_tokens += int((tokens == self._unknown).sum())
        self._tokens.write(np.ascontiguousarray(tokens, dtype=self._kind).data.cast("B"))

    def add(
        self,
        documents: Sequence[npt.NDArray[Any]],
        sides: Sequence[int],
        byte_lengths: Sequence[int],
        numbers: Sequence[int],
    ) -> None:
        """Append whole documents.

        Args:
            documents: the tokens of each.
            sides: of each, as indices into `SIDES`.
            byte_lengths: see `end_document`.
            numbers: likewise.
        """
        if not documents:
            return
        before = self._tokens.size // self._kind.itemsize
        self.extend(np.concatenate(documents))
        ends = before + np.cumsum([len(tokens) for tokens in documents], dtype=np.int64)
        self._offsets.frombytes(ends.tobytes())
        self._sides.extend(sides)
        self._bytes.extend(byte_lengths)
        self._documents.extend(numbers)

    def end_document(self, side: Side, byte_length: int, number: int) -> None:
        """Complete a document.

        Args:
            side: which side it is on.
            byte_length: UTF-8 bytes of its text.
            number: its number in the document store.
        """
        self._counted_by_side[side] += self._counted
        self._counted = 0
        self._offsets.append(self._tokens.size // self._kind.itemsize)
        self._sides.append(SIDES.index(side))
        self._bytes.append(byte_length)
        self._documents.append(number)

    def drop(self, reason: str, tokens: int) -> None:
        """Count tokens of documents that are left out."""
        self.dropped_tokens[reason] = self.dropped_tokens.get(reason, 0) + tokens

    def finish(self) -> TokenManifest:
        """Write the arrays and the manifest, and flush all of it to the disk."""
        files = {TOKENS: self._tokens.close()}
        offsets = np.frombuffer(self._offsets, dtype=np.int64)
        sides = np.frombuffer(self._sides, dtype=np.uint8)
        sizes = np.frombuffer(self._bytes, dtype=np.int64)
        numbers = np.frombuffer(self._documents, dtype=np.int64)
        arrays: list[npt.NDArray[Any]] = [offsets, sides, sizes, numbers]
        if self._counts is not None:
            assert self.conversations is not None
            files[COUNTS] = self._counts.close()
        for name, values in zip(ARRAYS, arrays, strict=True):
            path = self._folder / name
            with path.open("xb") as file:
                np.save(file, values, allow_pickle=False)
            files[name] = (os.stat(path).st_size, durable.sha256_of_file(path))
        manifest = self._manifest(files, offsets, sides, sizes)
        if self._counts is not None:
            manifest.conversations, manifest.counted = self.conversations, self._counted_by_side
        durable.write_json(self._folder / MANIFEST, manifest.model_dump(mode="json"))
        TokenStore(self._folder).keep_signature()
        durable.flush_tree(self._folder)
        return manifest

    def _manifest(
        self,
        files: dict[str, tuple[int, str]],
        offsets: npt.NDArray[np.int64],
        sides: npt.NDArray[np.uint8],
        sizes: npt.NDArray[np.int64],
    ) -> TokenManifest:
        lengths = np.diff(offsets)
        chosen = {side: sides == number for number, side in enumerate(SIDES)}
        return TokenManifest(
            format=TOKEN_STORE_FORMAT,
            corpus_fingerprint=self._corpus_fingerprint,
            fingerprint=store_fingerprint(self._tokenizer.hash, files),
            tokenizer=self._tokenizer,
            dtype=self.dtype,
            documents={side: int(here.sum()) for side, here in chosen.items()},
            tokens={side: int(lengths[here].sum()) for side, here in chosen.items()},
            text_bytes={side: int(sizes[here].sum()) for side, here in chosen.items()},
            dropped_tokens=self.dropped_tokens,
            inexact_cuts=self.inexact_cuts,
            largest_token=self.largest_token,
            unknown_tokens=self._unknown_tokens,
            loss=self._loss,
            files=files,
        )
