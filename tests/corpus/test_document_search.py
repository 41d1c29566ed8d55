"""Pages of documents: put together they are what is sought, wherever one begins."""

from __future__ import annotations

import json

import pytest

from cptstudio.corpus import document_search, source_list
from cptstudio.corpus.browsing import document
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_search import FoundPage, Sought, find_documents
from cptstudio.corpus.manifest import STATUSES, BuildSettings

_LICENSE = "This paragraph stands in many documents, and so it is dropped from nearly all of them."
_WORDS = [
    "valve", "Größe", "straße", "ΣΊΣΥΦΟΣ", "İstanbul", "pump", "seal", "日本語", "Öl", "bar",
]  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Short and long documents, files and records, equal ones, and repeated paragraphs."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(60):
        word = _WORDS[number % len(_WORDS)]
        unique = " ".join(f"{word}{number}x{place}" for place in range(40))
        text = f"About {word}, {number}.\n\n{_LICENSE}\n\n{unique}"
        (folder / f"Report-{number:02d} {word}.txt").write_text(text, encoding="utf-8")
    for name in ("copy.txt", "copy2.txt"):
        (folder / name).write_text((folder / "Report-03 ΣΊΣΥΦΟΣ.txt").read_text("utf-8"), "utf-8")
    (folder / "long.txt").write_text("lorem ipsum " * 90_000 + "the hidden needle " + "dolor " * 99)
    records = [{"text": f"record {n} tells of {_WORDS[n % 3]} and {n * n}"} for n in range(90)]
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_list, "FRAME", 900)
        settings = BuildSettings(validation=0.2, test=0.1, drop_boilerplate=True, near_dedup=False)
        return build_corpus(folder.parent / "corpus", [folder], settings).corpus


def expected(corpus: Corpus, sought: Sought) -> list[int]:
    """The same by reading everything."""
    store = corpus.documents
    labels = [source.label.lower() for source in corpus.sources()]
    words = sought.words.lower()
    return [
        number
        for number, record in enumerate(store.records)
        if sought.statuses is None or STATUSES[record["status"]] in sought.statuses
        if words in labels[record["source"]] or words in store.text(number).lower()
    ]


def all_pages(corpus: Corpus, sought: Sought, limit: int, *, back: bool) -> list[FoundPage]:
    place = len(corpus.documents) if back else 0
    pages = []
    while True:
        page = find_documents(corpus, sought, place, limit, back=back, seconds=60)
        pages.append(page)
        assert page.full and len(page.documents) <= limit
        place = page.first if back else page.last
        if place == (0 if back else len(corpus.documents)):
            return pages[::-1] if back else pages


_STATUSES = (None, frozenset({"validation"}), frozenset(STATUSES[3:]), frozenset({"test"}))


@pytest.mark.parametrize("words", ["", "größe", "σίσυφοσ", "report-2", "hidden needle"])
def test_pages_hold_what_reading_everything_finds(
    corpus: Corpus, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_search, "_SEARCHED_BYTES", 5_000)
    monkeypatch.setattr(document_search, "_DOCUMENTS", 17)
    for statuses in _STATUSES:
        sought = Sought(statuses, words)
        right = expected(corpus, sought)
        for limit, back in ((7, False), (7, True), (1000, False)):
            pages = all_pages(corpus, sought, limit, back=back)
            assert [one.document for page in pages for one in page.documents] == right
    assert statuses is None or words != "" or right


def test_what_was_found_is_shown_with_its_place(corpus: Corpus) -> None:
    (one,) = find_documents(corpus, Sought(None, "HIDDEN needle"), 0, 5, seconds=60).documents
    assert one.text.found == "hidden needle" and one.text.before.endswith("ipsum the ")
    assert one.label == "sources0/long.txt"
    named = find_documents(corpus, Sought(None, "report-07"), 0, 5).documents
    assert [one.in_name for one in named] == [True] and named[0].text.found == ""
    copies = find_documents(corpus, Sought(frozenset({"exact duplicate"})), 0, 5).documents
    assert copies and not any(one.kept for one in copies)
    whole = document(corpus, str(copies[0].document), 1000)
    assert whole is not None and whole.kept is not None and whole.kept.document is not None
    instead = document(corpus, str(whole.kept.document), 1000)
    assert instead is not None and instead.kept is None and instead.label == whole.kept.label


def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(corpus: Corpus) -> None:
    page = find_documents(corpus, Sought(None, "hidden needle"), 0, 5, seconds=0)
    assert (page.documents, page.first, page.last, page.full) == ([], 0, 0, False)


def test_a_list_of_sources_is_read_from_any_place_with_or_without_an_index(
    corpus: Corpus,
) -> None:
    documents = corpus.folder / "documents"
    lines = list(source_list.source_lines(documents))
    assert len(lines) == 63 + 1 and (documents / source_list.INDEX).is_file()
    labels = {place: json.loads(line)["label"] for place, line in enumerate(lines)}
    index = (documents / source_list.INDEX).read_bytes()
    try:
        for damage in (None, b"nothing", b""):
            if damage is not None:
                (documents / source_list.INDEX).write_bytes(damage)
            for first in range(len(lines) + 2):
                assert list(source_list.source_lines(documents, first)) == lines[first:]
            assert source_list.labels_at(documents, [40, 3, 63, 40]) == {
                place: labels[place] for place in (3, 40, 63)
            }
    finally:
        (documents / source_list.INDEX).write_bytes(index)
