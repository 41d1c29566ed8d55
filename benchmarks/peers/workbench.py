"""The folder that a benchmark works in: documents, models, and what each process leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.peers.documents import standard_library_documents, write_documents
from benchmarks.peers.model_folder import TOKENIZER_PIECES, train_tokenizer, write_model


@dataclass(frozen=True)
class Workbench:
    """What all tools are given.

    Attributes:
        folder: everything lies below it.
        environments: where the peers are installed.
        token_counts: tokens of each document with its end token, in the documents' order.
        bytes: UTF-8 bytes of all documents.
    """

    folder: Path
    environments: Path
    token_counts: tuple[int, ...]
    bytes: int

    @property
    def data(self) -> Path:
        """Folder with train.jsonl."""
        return self.folder / "data"

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return sum(self.token_counts)

    def model(self, vocabulary: int) -> Path:
        """The model folder with that many embedding rows."""
        return self.folder / "models" / f"vocabulary-{vocabulary}"

    def split_data(self, context: int) -> Path:
        """Folder with a train.jsonl whose documents fit into the context with their end token."""
        folder = self.folder / f"data-split-{context}"
        if not folder.is_dir():
            tokenizer = Tokenizer.from_file(str(self.model(TOKENIZER_PIECES) / "tokenizer.json"))
            lines = (self.data / "train.jsonl").read_text(encoding="utf-8").splitlines()
            documents = [json.loads(line)["text"] for line in lines]
            write_documents(split_documents(documents, tokenizer, context - 1), folder)
        return folder

    def describe(self) -> dict[str, int]:
        """The documents in numbers, for the head of a table."""
        counts = sorted(self.token_counts)
        return {
            "documents": len(counts),
            "bytes": self.bytes,
            "tokens": self.tokens,
            "median_tokens": counts[len(counts) // 2],
            "longest_tokens": counts[-1],
        }


def split_documents(documents: list[str], tokenizer: Tokenizer, size: int) -> list[str]:
    """Pieces of at most `size` tokens, which together are the documents."""
    pieces = []
    for text, encoded in zip(documents, tokenizer.encode_batch(documents), strict=True):
        starts = [encoded.offsets[first][0] for first in range(0, len(encoded.ids), size)]
        ends = [*starts[1:], len(text)]
        pieces += [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return pieces


def prepare(folder: Path, environments: Path, max_bytes: int, vocabularies: set[int]) -> Workbench:
    """Write the documents and the models, and count."""
    documents = standard_library_documents(max_bytes)
    tokenizer = train_tokenizer(documents)
    counts = tuple(len(encoded.ids) + 1 for encoded in tokenizer.encode_batch(documents))
    size = sum(len(text.encode("utf-8", "replace")) for text in documents)
    bench = Workbench(folder, environments, counts, size)
    write_documents(documents, bench.data)
    for vocabulary in vocabularies:
        write_model(bench.model(vocabulary), tokenizer, vocabulary)
    return bench
