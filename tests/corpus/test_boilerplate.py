"""Paragraphs that stand in many documents are found, told and dropped but once; switchable."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cptstudio.corpus import boilerplate
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.report import render
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from tests.corpus.test_build import words

HEADER = "ACME Corporation. Internal use only. Do not copy or distribute without permission."
COOKIES = "We use cookies to give you the best experience.\nBy going on you agree to our terms."
KEEP = BuildSettings(validation=0.1, test=0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents with a header, every second one with a notice at its end."""
    folder = tmp_path_factory.mktemp("boilerplate") / "s"
    folder.mkdir()
    for number in range(40):
        parts = [HEADER, words(number, 60), words(100 + number, 60)]
        if number % 2:
            parts.append(COOKIES.replace("\n", "\n  " if number % 3 else "\n"))
        (folder / f"{number:02}.txt").write_text("\n\n".join(parts), encoding="utf-8")
    (folder / "only.txt").write_text(f"{HEADER}\n\n{COOKIES}", encoding="utf-8")
    for number in range(9):  # One less than it takes.
        text = f"{words(500 + number, 60)}\n\nIn nine documents: {words(999, 40)}"
        (folder / f"nine-{number}.txt").write_text(text, encoding="utf-8")
    return folder


def texts(corpus: Corpus) -> list[str]:
    with closing(corpus.documents) as documents:
        return [documents.text(number) for number in range(len(documents))]


@pytest.mark.parametrize(("at_once", "counters"), [(1 << 21, 1 << 24), (16, 4)])
def test_boilerplate_is_kept_once_and_told(
    tmp_path: Path,
    sources: Path,
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    counters: int,
) -> None:
    monkeypatch.setattr(boilerplate, "_SORTED_AT_ONCE", at_once)
    # With so few of them paragraphs that stand in few documents are counted together.
    monkeypatch.setattr(boilerplate, "_COUNTERS", counters)
    corpus = build_corpus(tmp_path / "c", [sources], KEEP).corpus
    found = corpus.manifest.report.boilerplate
    assert found is not None
    assert (found.paragraphs, found.documents, found.places) == (2, 41, 41 + 21)
    shown = [(" ".join(one.text.split()), one.documents) for one in found.examples]
    assert shown == [(HEADER, 41), (" ".join(COOKIES.split()), 21)]
    kept = texts(corpus)
    # Once each, and in the document that holds nothing else.
    assert sum(HEADER in text for text in kept) == 2
    assert sum("We use cookies" in text for text in kept) == 2
    assert sum("In nine documents" in text for text in kept) == 9
    for number, record in enumerate(corpus.documents.records):
        assert record["length"] == len(kept[number].encode())
    assert f"{found.text_bytes:,} bytes removed" in render(corpus)
    corpus.verify_documents()
    # What is tokenized, measured and shown is the text without it.
    store = ensure_tokens(corpus, model_folder)
    tokenizer = load_tokenizer(model_folder)
    for position in (0, len(kept) - 1):
        number = int(store.documents[position])
        assert tokenizer.decode(store.document_tokens(position).tolist()) == kept[number]
        assert store.byte_lengths[position] == len(kept[number].encode())


def test_it_can_be_kept_and_moves_no_document(tmp_path: Path, sources: Path) -> None:
    dropped = build_corpus(tmp_path / "c", [sources], KEEP).corpus
    before = [(bytes(one["hash"]), one["status"]) for one in dropped.documents.records]
    settings = KEEP.model_copy(update={"drop_boilerplate": False})
    kept = build_corpus(tmp_path / "c", [sources], settings).corpus
    assert [(bytes(one["hash"]), one["status"]) for one in kept.documents.records] == before
    assert sum(HEADER in text for text in texts(kept)) == 41
    assert kept.manifest.fingerprint != dropped.manifest.fingerprint
    report = kept.manifest.report.boilerplate
    assert report is not None and not report.dropped and report.paragraphs == 2
    again = build_corpus(tmp_path / "c", [sources], KEEP).corpus
    assert again.manifest.fingerprint == dropped.manifest.fingerprint
    assert texts(again) == texts(build_corpus(tmp_path / "d", [sources], KEEP).corpus)
