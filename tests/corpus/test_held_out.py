"""What is measured of held-out text: as much as was asked for, from every document, exactly."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, HeldOutDocument, open_corpus
from cptstudio.corpus.held_out import held_out_text
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from tests.corpus.test_build import STDLIB
from tests.corpus.tokenizers_for_tests import gpt2, save_model_folder, sentencepiece_bpe

pytestmark = pytest.mark.slow

CHINESE = "东京都是日本的首都位于关东地区" * 3000


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Long documents, half of them held out: Python's sources, and text without any space."""
    folder = tmp_path_factory.mktemp("books")
    sources = folder / "sources"
    sources.mkdir()
    for letter in "abcdfgpt":
        text = "\n".join(path.read_text("utf-8") for path in sorted(STDLIB.glob(f"{letter}*.py")))
        (sources / f"{letter}.txt").write_text(text, encoding="utf-8")
    for part in range(4):
        (sources / f"chinese-{part}.txt").write_text(f"{part}{CHINESE}", encoding="utf-8")
    model = save_model_folder(folder / "bytes", gpt2(), adds_bos=False)
    settings = BuildSettings(near_dedup=False, validation=0.5, test=0.0)
    return build_corpus(folder / "corpus", [sources], settings, model_path=model).corpus


def measured(corpus: Corpus, model: Path, **limits: int) -> list[HeldOutDocument]:
    store = ensure_tokens(corpus, model)
    return held_out_text(
        corpus, "validation", store.tokenizer.hash, lambda: load_tokenizer(model), **limits
    )


def texts(corpus: Corpus, model: Path, chosen: list[HeldOutDocument]) -> list[str]:
    tokenizer = load_tokenizer(model)
    return [tokenizer.decode(one.tokens.tolist()) for one in chosen]


def test_long_documents_cost_what_was_asked(books: Corpus) -> None:
    model = books.path.parent / "bytes"
    side = books.token_store().documents_of("validation")
    assert len(side) >= 2, "the fixture's held-out side"
    chosen = measured(books, model, max_tokens=3000, window_tokens=512)
    tokens = sum(len(one.tokens) for one in chosen)
    assert 2400 <= tokens <= 3300
    assert {one.number for one in chosen} == {
        int(books.token_store().documents[position]) for position in side
    }
    again = measured(open_corpus(books.path), model, max_tokens=3000, window_tokens=512)
    assert [one.tokens.tolist() for one in again] == [one.tokens.tolist() for one in chosen]


def test_windows_are_pieces_of_their_documents_to_the_byte(books: Corpus) -> None:
    model = books.path.parent / "bytes"
    chosen = measured(books, model, max_tokens=20_000, window_tokens=256)
    found: dict[int, list[int]] = {}
    with closing(books.documents) as documents:
        for one, text in zip(chosen, texts(books, model, chosen), strict=True):
            assert len(text.encode()) == one.byte_length
            whole = documents.text(one.number)
            assert text in whole
            assert whole.startswith(text) or text[0].isspace() or text[0] in CHINESE
            found.setdefault(one.number, []).append(one.byte_length)
        total = sum(len(documents.text(number).encode()) for number in found)
        share = sum(map(sum, found.values())) / total
        for number, sizes in found.items():
            # Evenly: every document gives the same part of its text.
            part = sum(sizes) / len(documents.text(number).encode())
            assert part == pytest.approx(share, rel=0.2)


def test_all_of_a_side_is_its_documents_as_they_are(books: Corpus) -> None:
    model = books.path.parent / "bytes"
    whole = books.held_out_documents("validation")
    chosen = measured(books, model, max_tokens=10**9, max_bytes=10**9)
    assert [(one.number, one.tokens.tolist()) for one in chosen] == [
        (one.number, one.tokens.tolist()) for one in whole
    ]


def test_models_with_other_tokenizers_get_the_same_text(books: Corpus) -> None:
    pieces = save_model_folder(books.path.parent / "pieces", sentencepiece_bpe(), adds_bos=False)
    chosen = measured(books, pieces, max_bytes=40_000)
    other = measured(books, books.path.parent / "bytes", max_bytes=40_000)
    assert [(one.number, one.byte_length) for one in chosen] == [
        (one.number, one.byte_length) for one in other
    ]
    assert 32_000 <= sum(one.byte_length for one in chosen) <= 40_000


def test_short_documents_are_taken_whole(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    lines = sorted({line for line in (STDLIB / "typing.py").read_text().splitlines() if line})
    for number, line in enumerate(lines[:400]):
        (sources / f"{number}.txt").write_text(line, encoding="utf-8")
    model = save_model_folder(tmp_path / "model", gpt2(), adds_bos=False)
    settings = BuildSettings(near_dedup=False, validation=0.5, test=0.0)
    corpus = build_corpus(tmp_path / "c", [sources], settings, model_path=model).corpus
    chosen = measured(corpus, model, max_bytes=2_000)
    everything = {
        one.number: one.tokens.tolist() for one in corpus.held_out_documents("validation")
    }
    assert 1_600 <= sum(one.byte_length for one in chosen) <= 2_000
    assert len({one.number for one in chosen}) == len(chosen) < len(everything)
    assert all(everything[one.number] == one.tokens.tolist() for one in chosen)
