"""A built corpus on disk.

    corpora/<name>/
        manifest.json              `CorpusManifest`; replaced atomically, it names the version
        versions/<version>/
            documents/             see `document_store`
            tokens/<hash>/         see `token_store`; one folder for each tokenizer
            uploads/               files that it was built from and that lie nowhere else

A build writes a new version beside the current one and then replaces manifest.json, so that a
reader finds the former corpus or the new one, whole, wherever a build is interrupted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard
from pydantic import ValidationError

from cptstudio import durable
from cptstudio.corpus.conversations.texts import ReadableConversations
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.manifest import CORPUS_FORMAT, CorpusManifest, SourceRecord
from cptstudio.corpus.source_list import SOURCES, labels_at, source_lines
from cptstudio.corpus.sources import Source
from cptstudio.corpus.split import new_content_hash
from cptstudio.corpus.token_store import Side, TokenStore, damaged
from cptstudio.errors import UserError
from cptstudio.validation import sentences

MANIFEST = "manifest.json"
VERSIONS = "versions"
UPLOADS = "uploads"


@dataclass(frozen=True)
class HeldOutDocument:
    """A document to evaluate on, or a window of one.

    Attributes:
        number: the document's number in the document store.
        tokens: int32 [tokens], without special tokens; those of a conversation with all that its
            template writes, but for the first one.
        byte_length: UTF-8 bytes of the text, of a conversation those of its answers.
        counts: bool [tokens], which of them are measured; None for all.
        start: what the first is predicted from; None for the tokenizer's own start token.
    """

    number: int
    tokens: npt.NDArray[np.int32]
    byte_length: int
    counts: npt.NDArray[np.bool_] | None = None
    start: int | None = None

    @property
    def measured(self) -> int:
        """How many of its tokens are measured."""
        return len(self.tokens) if self.counts is None else int(self.counts.sum())


class Corpus:
    """Reads a corpus; see the module for the layout.

    Attributes:
        path: its folder.
        manifest: its manifest.
        template: hash of the chat template that tokens of conversations are asked for in.
    """

    def __init__(self, path: Path, manifest: CorpusManifest, template: str | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.template = template

    def in_template(self, template: str | None) -> Corpus:
        """Return the same corpus, whose conversations are read in this chat template.

        Args:
            template: its hash (`TokenizerIdentity.template`), which documents do not need.
        """
        return Corpus(self.path, self.manifest, template)

    @property
    def name(self) -> str:
        """The corpus's name."""
        return self.manifest.name

    @property
    def folder(self) -> Path:
        """The folder of the current version."""
        return self.path / VERSIONS / self.manifest.version

    @property
    def documents(self) -> DocumentStore:
        """The cleaned documents, newly opened."""
        return DocumentStore(self.folder / "documents")

    @property
    def readable(self) -> DocumentStore:
        """The cleaned documents as people read them, newly opened."""
        if self.manifest.settings.kind == "conversations":
            return ReadableConversations(self.folder / "documents")
        return self.documents

    def sources(self) -> Iterator[SourceRecord]:
        """Return the record of each source file, in order."""
        for line in self.source_lines():
            yield SourceRecord.model_validate(json.loads(line))

    def sources_between(self, first: int, count: int) -> Iterator[SourceRecord]:
        """Some of them, from a number on; those before are not read."""
        for line in islice(self.source_lines(first), count):
            yield SourceRecord.model_validate(json.loads(line))

    def given_sources(self) -> list[Source]:
        """Return the files and folders that it was built from.

        Raises:
            UserError: that was not recorded.
        """
        given = self.manifest.sources
        if not given:
            raise UserError(
                f"The corpus {self.name!r} was built by a version that did not record its "
                "sources. Choose its files and folders again."
            )
        return [
            Source(
                self.folder / one.path if one.uploaded else Path(one.path),
                one.label,
                one.uploaded,
                one.hub,
            )
            for one in given
        ]

    def source_lines(self, first: int = 0) -> Iterator[bytes]:
        """Return the same as it is stored: a JSON object each, from a source's number on."""
        return source_lines(self.folder / "documents", first)

    def verify_documents(self) -> None:
        """Read all documents, and compare each with its hash and all hashes with the manifest.

        Raises:
            UserError: they are not what was built; says where it shows.
        """
        store = self.documents
        try:
            if fingerprint_of(store.records, store.cuts) != self.manifest.fingerprint:
                raise damaged(self.folder, "its document list has changed since it was written")
            for number, expected in enumerate(store.records["hash"]):
                digest = new_content_hash()
                for part in store.stored_parts(number):
                    digest.update(part)
                if digest.digest() != expected.tobytes():
                    raise damaged(
                        self.folder, f"document {number:,} has changed since it was written"
                    )
        finally:
            store.close()
        try:
            counted = [source.documents for source in self.sources()]
        except (zstandard.ZstdError, ValueError) as error:
            raise damaged(self.folder, f"could not read {SOURCES} ({error})") from None
        of = store.records["source"]
        if self.manifest.split.sectioned:
            # Sections have their document's number in its source.
            pairs = np.stack([of, store.records["member"]], axis=1)
            of = np.unique(pairs, axis=0)[:, 0]
        if np.bincount(of, minlength=len(counted)).tolist() != counted:
            raise damaged(self.folder, "its documents do not match its sources")

    def source_labels(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return the labels of some sources, by the number that document records hold."""
        return labels_at(self.folder / "documents", numbers)

    def tokenizer_hashes(self) -> list[str]:
        """Return the hashes of the tokenizers whose tokens are there.

        Those of conversations are followed by a chat template's, see `tokens_name`.
        """
        try:
            entries = sorted((self.folder / "tokens").iterdir())
        except FileNotFoundError:
            return []
        return [entry.name for entry in entries if not durable.is_staging_name(entry.name)]

    def token_store(self, tokenizer_hash: str | None = None) -> TokenStore:
        """Return the corpus's tokens.

        Args:
            tokenizer_hash: which tokenizer's, or a name of `tokenizer_hashes`; may be left out
                when there is only one. Of conversations in several templates, those in `template`.

        Raises:
            UserError: they are not there, damaged, or several are there and none was named.
        """
        there = self.tokenizer_hashes()
        if tokenizer_hash is None:
            if len(there) != 1:
                raise UserError(
                    f"The corpus {self.name!r} is tokenized for {len(there)} tokenizers. "
                    "Choose one with --model."
                )
            tokenizer_hash = there[0]
        name = self._tokens(tokenizer_hash, there)
        if name is None:
            raise UserError(
                f"The corpus {self.name!r} is not tokenized for this model. Run "
                f"`cpt-studio corpus build {self.name} --model MODEL`."
            )
        store = TokenStore(self.folder / "tokens" / name)
        if store.manifest.corpus_fingerprint != self.manifest.fingerprint:
            raise damaged(store.folder, "its tokens belong to other documents")
        return store

    def is_tokenized_for(self, tokenizer_hash: str) -> bool:
        """Return whether `token_store` finds tokens for a tokenizer."""
        return self._tokens(tokenizer_hash, self.tokenizer_hashes()) is not None

    def _tokens(self, tokenizer_hash: str, there: Sequence[str]) -> str | None:
        """The name of the tokens among those that are there."""
        if tokenizer_hash in there:
            return tokenizer_hash
        if self.template is not None:
            name = tokens_name(tokenizer_hash, self.template)
            return name if name in there else None
        found = [name for name in there if name.startswith(tokens_name(tokenizer_hash, ""))]
        if len(found) > 1:
            raise UserError(
                f"The corpus {self.name!r} is tokenized with {len(found)} chat templates. "
                "Choose one with --model."
            )
        return found[0] if found else None

    def held_out_documents(
        self,
        side: Side,
        tokenizer_hash: str | None = None,
        max_documents: int | None = None,
        max_tokens: int | None = None,
    ) -> list[HeldOutDocument]:
        """Whole documents of one side, always the same ones in the same order.

        The order is that of the content hashes. A document is taken whole or not at all; the
        first one is taken whatever its size, so a limit holds only where documents are short:
        what is measured is chosen by `held_out.held_out_text`, and so only for runs of before.
        """
        store = self.token_store(tokenizer_hash)
        chosen: list[HeldOutDocument] = []
        total_tokens = 0
        for position in in_hash_order(store, self.documents.records, side).tolist():
            if max_documents is not None and len(chosen) >= max_documents:
                break
            tokens = store.document_tokens(position).astype(np.int32)
            if chosen and max_tokens is not None and total_tokens + len(tokens) > max_tokens:
                continue
            size = int(store.byte_lengths[position])
            chosen.append(HeldOutDocument(int(store.documents[position]), tokens, size))
            total_tokens += len(tokens)
        return chosen


def tokens_name(tokenizer_hash: str, template_hash: str) -> str:
    """Return the name of the tokens of conversations: by tokenizer and chat template."""
    return f"{tokenizer_hash}-{template_hash}"


def in_hash_order(
    store: TokenStore, records: npt.NDArray[Any], side: Side
) -> npt.NDArray[np.uint32]:
    """Return the positions in a token store of one side's documents, by their content hashes.

    So the first of them are a fair sample, which changes little when documents are added.
    """
    positions = store.documents_of(side)
    hashes = records["hash"][store.documents[positions]]
    words = np.ascontiguousarray(hashes).view(">u8").reshape(-1, 2)
    ordered: npt.NDArray[np.uint32] = positions[np.lexsort((words[:, 1], words[:, 0]))]
    return ordered


def fingerprint_of(records: npt.NDArray[Any], cuts: npt.NDArray[Any]) -> str:
    """SHA-256 of the documents, their order and their sides, from the document store's records.

    Args:
        records: `RECORD`.
        cuts: `CUT`, what is left out of them; a corpus without any has the fingerprint that it had
            before there were any.
    """
    digest = hashlib.sha256(f"corpus {CORPUS_FORMAT}\n".encode())
    for name in ("hash", "status"):
        for start in range(0, len(records), 1 << 20):
            digest.update(records[name][start : start + (1 << 20)].tobytes())
    if len(cuts):
        digest.update(np.ascontiguousarray(cuts).tobytes())
    return digest.hexdigest()


def has_corpus(path: Path) -> bool:
    """Return whether a build was ever finished there."""
    return (path / MANIFEST).is_file()


def open_corpus(path: Path | str) -> Corpus:
    """Open a corpus by its folder.

    Raises:
        UserError: there is none, or its manifest is damaged or of another format.
    """
    folder = Path(path)
    try:
        content: Any = durable.read_json(folder / MANIFEST)
    except FileNotFoundError:
        if folder.is_dir():
            raise UserError(
                f"The first build of the corpus {folder.name} was interrupted. Build it "
                "again, or delete it."
            ) from None
        raise UserError(
            f"There is no corpus in {folder}. Build one with `cpt-studio corpus build "
            f"{folder.name} SOURCE --model MODEL`."
        ) from None
    if isinstance(content, dict) and content.get("format") != CORPUS_FORMAT:
        raise UserError(
            f"{folder} has corpus format {content.get('format')}, but this version reads "
            f"{CORPUS_FORMAT}. Build it again."
        )
    try:
        manifest = CorpusManifest.model_validate(content)
    except ValidationError as error:
        raise damaged(
            folder,
            f"invalid manifest.json ({sentences(error, CorpusManifest)[0].rstrip('.')})",
        ) from None
    return Corpus(folder, manifest)
