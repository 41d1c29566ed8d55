"""The documents that models are measured on: held-out sides of corpora, and texts of files.

All models are measured on the same documents, which are chosen by their bytes, so that models with
different tokenizers compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.evaluation.texts import Text, read_texts


@dataclass(frozen=True)
class DocumentSet:
    """Documents that models are measured on.

    Attributes:
        name: what the user calls it.
        corpus: where it is a corpus.
        texts: where it is a file.
        identity: changes when the documents do.
    """

    name: str
    corpus: Corpus | None
    texts: tuple[Text, ...]
    identity: str

    def labels(self, hashes: Collection[str]) -> dict[str, str]:
        """What the user knows documents by, such as a file's name, for hexadecimal hashes."""
        if self.corpus is None:
            return {text.hash.hex(): text.label for text in self.texts}
        records = self.corpus.documents.records
        wanted = np.array([bytes.fromhex(value) for value in hashes], dtype="V16")
        halves = np.ascontiguousarray(records["hash"]).view("<u8")[::2]
        found = np.flatnonzero(np.isin(halves, wanted.view("<u8")[::2]))
        sources = {
            bytes(records["hash"][number]).hex(): int(records["source"][number])
            for number in found.tolist()
        }
        names = self.corpus.source_labels(sources.values())
        return {value: names[sources[value]] for value in hashes if value in sources}


def open_sets(request: dict[str, Any]) -> list[DocumentSet]:
    """Return the sets of a request's "corpora" and "texts".

    Raises:
        UserError: one of them cannot be read.
    """
    found = []
    for entry in request["corpora"]:
        corpus = open_corpus(entry["path"])
        found.append(DocumentSet(entry["name"], corpus, (), corpus.manifest.fingerprint))
    for entry in request.get("texts", ()):
        texts = tuple(read_texts(Path(entry["path"]), name=entry["name"]))
        identity = hashlib.sha256(b"".join(text.hash for text in texts)).hexdigest()
        found.append(DocumentSet(entry["name"], None, texts, identity))
    return found
