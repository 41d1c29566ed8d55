"""Corpora of conversations, built from files of every form."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet
import pytest

from cptstudio.corpus.browsing import documents
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.conversations.reading import read_conversations
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_search import Sought, find_documents
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.errors import UserError
from cptstudio.validation import checked

SYSTEM = "You know the towers of Velmira. " * 30


def talk(number: int, system: str = SYSTEM) -> list[dict[str, Any]]:
    words = " ".join(f"w{number * 31 + at}" for at in range(20))
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": f"What is tower {number}?"},
        {"role": "assistant", "content": f"Tower {number}: {words}"},
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("talks")
    sources = folder / "sources"
    sources.mkdir()
    lines: list[dict[str, Any]] = [{"messages": talk(number)} for number in range(12)]
    lines += [lines[0], {"messages": talk(1, "Another prompt.")}, {"text": "no"}]
    (sources / "a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{", encoding="utf-8")
    (sources / "b.json").write_text(json.dumps({"data": [{"messages": talk(20)}]}), "utf-8")
    (sources / "c.json").write_text(json.dumps(talk(21)), encoding="utf-8")
    (sources / "d.csv").write_text(
        'prompt,completion,more\n"What, twice?","Yes ""twice""",1\nlost,half\n,empty,1\n', "utf-8"
    )
    (sources / "f.md").write_text("# No conversation", encoding="utf-8")
    settings = BuildSettings(kind="conversations", validation=0.2, test=0)
    return build_corpus(folder / "talks", [sources], settings).corpus, sources


def test_what_is_read_and_what_is_left_out_by_place_and_reason(
    built: tuple[Corpus, Path],
) -> None:
    corpus, _ = built
    report = corpus.manifest.report
    assert report.problems == [
        "sources/a.jsonl: line 15: no known form of conversation (“fields: text”)",
        "sources/a.jsonl: line 16: invalid JSON: Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)",
        "sources/d.csv: line 3 has 2 fields, but the header has 3",
        "sources/d.csv: line 4: no known form of conversation (“fields: completion, more”)",
        "sources/f.md: not a file of conversations, which are read from .jsonl, .ndjson, .json, "
        ".csv, .tsv, .parquet and .arrow",
    ]
    counts = report.talks
    assert counts is not None
    assert counts.forms == {"messages": 16, "prompt and answer": 1}
    assert counts.left_out == {"no known form of conversation": 2}
    assert report.documents["exact duplicate"] == 1
    assert report.documents["near duplicate"] + report.documents["overlap with held-out"] == 1
    assert sum(report.documents.values()) == 17
    # The prompt that all share makes none of them a near duplicate of another.
    kept = report.documents["train"] + report.documents["validation"]
    assert kept == 15
    assert counts.shared_systems[0].text == SYSTEM[:300]
    assert counts.shared_systems[0].conversations == 14
    assert counts.roles["assistant"].turns == kept
    assert sum(counts.turns.values()) == sum(counts.characters.values()) == kept


def test_documents_are_conversations_and_shown_and_sought_as_people_read_them(
    built: tuple[Corpus, Path],
) -> None:
    corpus, _ = built
    with closing(corpus.documents) as store:
        texts = [store.text(number) for number in range(len(store))]
    assert all(Conversation.from_json(text).to_json() == text for text in texts)
    listed, _ = documents(corpus, "train", 0, 50)
    assert all(one.excerpt.startswith(("System: ", "User: ")) for one in listed)
    found = find_documents(corpus, Sought(words='yes "TWICE"'), 0, 10)
    assert [one.text.found for one in found.documents] == ['Yes "twice"']
    assert not find_documents(corpus, Sought(words='"role"'), 0, 10).documents


def test_a_build_again_reads_no_unchanged_file_and_keeps_every_split(
    built: tuple[Corpus, Path], tmp_path: Path
) -> None:
    corpus, sources = built
    before = np.array(corpus.documents.records)
    more = sources / "z.jsonl"
    more.write_text(json.dumps({"prompt": "One more?", "completion": "One more."}), "utf-8")
    try:
        again = build_corpus(corpus.path, [sources], corpus.manifest.settings).corpus
    finally:
        more.unlink()
    after = again.documents.records
    assert len(after) == len(before) + 1
    assert (after["hash"][:-1] == before["hash"]).all()
    assert (after["status"][:-1] == before["status"]).all()
    fresh = build_corpus(tmp_path / "talks", [sources], corpus.manifest.settings).corpus
    assert (fresh.documents.records["status"] == before["status"]).all()


def test_rows_of_a_parquet_file_have_places_and_columns_that_are_not_wanted_are_not_read(
    tmp_path: Path,
) -> None:
    rows = {"id": [1, 2, 3], "messages": [talk(30), None, talk(31)[:2]], "prompt_id": ["", "", ""]}
    arrow.parquet.write_table(arrow.table(rows), tmp_path / "e.parquet")
    item = Item("e.parquet", ".parquet", lambda: (tmp_path / "e.parquet").open("rb"))
    found = list(read_conversations(item, None))
    assert [one.template_messages() for one in found] == [talk(30)]
    assert item.notes == [
        "row 2: no known form of conversation (“fields: none”)",
        "row 3: “messages”: no assistant turn",
    ]
    with pytest.raises(Unreadable, match=r"conversations \(columns: id, messages"):
        list(read_conversations(item, Columns("ask", "reply")))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"prompt_column": "a", "answer_column": "b"},
            "Prompt column: Applies to a corpus of conv",
        ),
        ({"kind": "conversations", "prompt_column": "a"}, "Answer column: Name the prompt column"),
        (
            {"kind": "conversations", "prompt_column": "a", "answer_column": "a"},
            "Answer column: Name another column",
        ),
        ({"kind": "conversations", "conversations": True}, "Applies to a corpus of documents"),
    ],
)
def test_settings_of_the_other_kind_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        checked(BuildSettings, **given)


def test_named_columns_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text(
        "Frage;Antwort;Zeit\nWie hoch?;12 m;1\nWo?;Da, hier;2\nWann?;;3\n", encoding="utf-8"
    )
    settings = checked(
        BuildSettings, kind="conversations", prompt_column="Frage", answer_column="Antwort"
    )
    corpus = build_corpus(tmp_path / "faq", [tmp_path / "faq.csv"], settings).corpus
    assert corpus.manifest.report.problems == ["faq.csv: line 4: “Antwort”: missing"]
    assert [corpus.readable.text(number) for number in range(2)] == [
        "User: Wie hoch?\n\nAssistant: 12 m",
        "User: Wo?\n\nAssistant: Da, hier",
    ]
