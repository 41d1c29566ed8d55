"""Time of a page of a corpus's documents, wherever it lies and whatever is sought.

    python -m benchmarks.browse_documents [--documents 10000000] [--sources 10000000]
                                         [--keep FOLDER]

Writes a corpus with the product's own writers, without a build: so many documents of some 200
bytes, from so many files, one in thirty held out, one in fifty dropped. Then it asks for pages: the
first and a late one, of one side, dropped ones, by a name, by a word that is frequent, by one that
stands in a single document, and by one that stands nowhere. A search takes as many answers as it
needs; both their number and the time of the longest are given.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.document_search import Sought, find_documents
from cptstudio.corpus.document_store import CUT, RECORD, DocumentWriter
from cptstudio.corpus.manifest import STATUSES
from cptstudio.corpus.source_list import SourceListWriter

_AT_ONCE = 100_000


def write_corpus(folder: Path, count: int, sources: int) -> Corpus:
    """Write a corpus; its manifest is that of a small one, but for nothing that pages read."""
    small = folder / "small.txt"
    folder.mkdir(parents=True, exist_ok=True)
    small.write_text("A document, so that there is a manifest.\n\n" * 20)
    corpus = build_corpus(folder / "corpus", [small]).corpus
    documents = corpus.folder / "documents"
    for path in documents.iterdir():
        path.unlink()
    dice = np.random.default_rng(1)
    words = np.array([f"word{number}" for number in range(5000)])
    writer = DocumentWriter(documents)
    with SourceListWriter(documents) as out:
        for number in range(sources):
            label = f"documents/part-{number // 1000:05d}/report-{number:08d}.txt"
            out.add(json.dumps({"label": label, "file": label, "size": 1}).encode())
    for first in range(0, count, _AT_ONCE):
        amount = min(_AT_ONCE, count - first)
        chosen = words[dice.integers(len(words), size=(amount, 24))].tolist()
        texts = [" ".join(one).encode() for one in chosen]
        if first <= count // 2 < first + amount:
            texts[count // 2 - first] += b" the only needle"
        records = np.zeros(amount, dtype=RECORD)
        lengths = np.array([len(one) for one in texts])
        numbers = np.arange(first, first + amount)
        records["start"] = writer.position + np.cumsum(lengths) - lengths
        records["length"] = lengths
        records["hash"] = np.frombuffer(dice.bytes(16 * amount), dtype="V16")
        records["source"] = numbers * sources // count
        records["status"][numbers % 30 == 7] = STATUSES.index("validation")
        records["status"][numbers % 50 == 9] = STATUSES.index("near duplicate")
        writer.add(b"".join(texts), records)
    records = writer.records()
    writer.finish(records)
    writer.settle(records, np.empty(0, dtype=CUT))
    return open_corpus(corpus.path)


def ask(corpus: Corpus, sought: Sought, start: int = 0, **how: Any) -> dict[str, Any]:
    """Ask until a page is full."""
    times, found, place = [], 0, start
    while True:
        began = time.perf_counter()
        page = find_documents(corpus, sought, place, 25 - found, **how)
        times.append(time.perf_counter() - began)
        found += len(page.documents)
        place = page.first if how.get("back") else page.last
        if page.full:
            break
    return {"found": found, "answers": len(times), "longest": max(times), "all": sum(times)}


def main() -> None:
    """Measure, and print a line for each page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--sources", type=int, default=10_000_000)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        there = folder / "corpus"
        if there.exists():
            corpus = open_corpus(there)
        else:
            corpus = write_corpus(folder, given.documents, given.sources)
        late = len(corpus.documents) * 9 // 10
        validation = frozenset({"validation"})
        for name, sought, start, how in (
            ("first page", Sought(), 0, {}),
            ("late page", Sought(), late, {}),
            ("the one before it", Sought(), late, {"back": True}),
            ("validation, late", Sought(validation), late, {}),
            ("dropped, late", Sought(frozenset({"near duplicate"})), late, {"back": True}),
            ("none of a status", Sought(frozenset({"test"})), 0, {}),
            ("a frequent word", Sought(None, "Word42"), late, {}),
            ("a file's name", Sought(None, "report-00070000"), 0, {}),
            ("one document's word", Sought(None, "only needle"), 0, {}),
            ("a word of none", Sought(None, "nowhere to be found"), 0, {}),
        ):
            print(json.dumps({"page": name, **ask(corpus, sought, start, **how)}), flush=True)


if __name__ == "__main__":
    main()
