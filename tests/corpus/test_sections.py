"""One long document is split by sections: nothing is lost, nothing moves, no sentence is cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import STATUSES, BuildSettings
from cptstudio.corpus.report import render, split_warnings
from tests.corpus.test_build import words, write_documents


def sentences(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed)
    return [f"The {words(chosen.randrange(10**9), 11)} end." for _ in range(count)]


def novel(size: int) -> str:
    """Paragraphs; a page break cuts a sentence of every fifth one."""
    parts = []
    for number in range(size):
        text = "\n".join(sentences(number, 4))
        parts.append(text.replace("end.\nThe", "end\n\nthe", 1) if number % 5 == 0 else text)
    return "\n\n".join(parts)


def lines_only(size: int) -> str:
    return "\n".join(" ".join(sentences(number, 4)) for number in range(size))


def source_code(size: int) -> str:
    return "\n\n\n".join(f"def name_{n}(a, b):\n    {words(n, 40)}" for n in range(size))


def sides(corpus: Corpus) -> dict[bytes, str]:
    return {bytes(one["hash"]): STATUSES[one["status"]] for one in corpus.documents.records}


@pytest.mark.parametrize("text_of", [novel, lines_only, source_code])
def test_a_book_alone_is_trained_and_measured(
    tmp_path: Path, text_of: Callable[[int], str]
) -> None:
    text = text_of(400)
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [tmp_path / "book.txt"]).corpus
    records, documents = corpus.documents.records, corpus.documents
    parts = [documents.text(number) for number in range(len(documents))]
    assert "".join(parts) == text
    corpus.verify_documents()
    found = [STATUSES[one["status"]] for one in records]
    assert {"train", "validation", "test"} == set(found)
    # What is trained on is joined: no two such sections follow each other.
    assert ("train", "train") not in set(pairwise(found))
    held_out = sum(int(one["length"]) for one in records if one["status"])
    assert 0.02 <= held_out / len(text) <= 0.3
    for part in parts[:-1]:
        assert part.endswith("\n")
        assert text_of is source_code or part.rstrip().endswith("end.")
    assert corpus.manifest.report.sectioned == 1
    assert "split by sections" in render(corpus)
    assert not build_corpus(tmp_path / "c", [tmp_path / "book.txt"]).changed


def test_no_section_moves_when_documents_are_added(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(novel(200), encoding="utf-8")
    before = sides(build_corpus(tmp_path / "c", [tmp_path / "book.txt"]).corpus)
    for count in (5, 60):
        more = write_documents(tmp_path / "more", count)
        corpus = build_corpus(tmp_path / "c", [tmp_path / "book.txt", more]).corpus
        after = sides(corpus)
        assert {name: after[name] for name in before} == before
        before = after
        corpus.verify_documents()


def test_what_a_former_build_had_whole_stays_whole_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(novel(100), encoding="utf-8")
    build_corpus(tmp_path / "c", [tmp_path / "book.txt"], BuildSettings(validation=0, test=0))
    corpus = build_corpus(tmp_path / "c", [tmp_path / "book.txt"]).corpus
    assert len(corpus.documents) == 1
    assert "with a new name" in split_warnings(corpus.manifest)[0]


def test_a_copy_of_a_section_in_another_file_is_not_trained_on(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(novel(200), encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [tmp_path / "book.txt"]).corpus
    held = next(n for n, one in enumerate(corpus.documents.records) if one["status"])
    (tmp_path / "excerpt.txt").write_text(corpus.documents.text(held) + "More.", encoding="utf-8")
    sources = [tmp_path / "book.txt", tmp_path / "excerpt.txt"]
    corpus = build_corpus(tmp_path / "c", sources).corpus
    assert corpus.manifest.report.documents["overlap with held-out"] == 1


def test_a_side_that_is_too_small_to_measure_is_told(tmp_path: Path) -> None:
    sources = write_documents(tmp_path / "sources", 12)
    corpus = build_corpus(tmp_path / "c", [sources]).corpus
    size = corpus.manifest.report.text_bytes["validation"]
    assert f"The validation split has only {size:,} bytes" in split_warnings(corpus.manifest)[0]
    assert "mostly chance" in render(open_corpus(tmp_path / "c"))
