r"""Tables and lists of records: no row is cut, merged or left out without a note that names it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet
import pytest

from cptstudio.corpus.build import build_corpus
from tests.corpus.test_cases import KEEP_ALL

Built = tuple[dict[str, list[str]], dict[str, list[str]]]
TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
SHARED = [{"from": "human", "value": "hi"}]
# What is in a file, the texts of its documents, and what of it is named.
FILES: dict[str, tuple[str, list[str], list[str]]] = {
    "escaped.csv": (
        'id,text,n\n1,"say \\"hi, there\\", yes",x\n2,"a ""b"" c",y\n3,"C:\\",z\n',
        ['say "hi, there", yes', 'a "b" c', "C:\\"],
        [],
    ),
    "escaped-lines.csv": (
        'text,n\n"say \\"hi\\" there",x\n"two\nlines \\"q\\", more",y\nlast,z\n',
        ['say "hi" there', 'two\nlines "q", more', "last"],
        [],
    ),
    "spreadsheet.csv": ("sep=;\ntext;n\nhello, world;1\n", ["hello, world"], []),
    "spaced.csv": ('id, text\n1, "Hello, world"\n2, plain\n', ["Hello, world", "plain"], []),
    "header-of-lines.csv": ('"a\nb",text\n1,hello\n', ["hello"], []),
    "twice.csv": (
        "text,text\n1,hello\n",
        ["1"],
        ["2 columns are named 'text'; the text of the first one is used"],
    ),
    "quoted.tsv": (
        'text\tid\n"one\ntwo"\t5\n',
        ['"one', 'two"'],
        ["line 2 has 1 field, but the header has 2: the text may continue on the next line"],
    ),
    "empty.csv": ("text,n\n,1\nfoo,2\n", ["foo"], ["1 of 2 records have no text"]),
    "after-quotes.csv": (
        'text,n\n"so" they said,1\n',
        ["so they said"],
        ["line 2 has quotes inside a quoted text; some were lost"],
    ),
    "chat.jsonl": (
        "\n".join(json.dumps(one) for one in (
            {"messages": TURNS}, {"conversations": SHARED}, {"text": "kept", "messages": TURNS},
        )),
        ["kept"],
        [
            "1 conversation in 'messages' skipped "
            "(build a corpus of conversations, or turn on “Read conversations as text” to read it)",
            "1 conversation in 'conversations' skipped "
            "(build a corpus of conversations, or turn on “Read conversations as text” to read it)",
        ],
    ),
    "chat.json": (
        json.dumps([{"messages": TURNS}] * 3), [],
        ["3 conversations in 'messages' skipped "
        "(build a corpus of conversations, or turn on “Read conversations as text” to read them)"],
    ),
    "chat.csv": (
        'messages,n\n"' + json.dumps(TURNS).replace('"', '""') + '",1\n', [],
        ["1 conversation in 'messages' skipped "
        "(build a corpus of conversations, or turn on “Read conversations as text” to read it)"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    folder = tmp_path_factory.mktemp("records")
    sources = folder / "s"
    sources.mkdir()
    for name, (content, _, _) in FILES.items():
        (sources / name).write_text(content, encoding="utf-8", newline="")
    pyarrow.parquet.write_table(arrow.table({"messages": [TURNS] * 7}), sources / "chat.parquet")
    corpus = build_corpus(folder / "c", [sources], KEEP_ALL).corpus
    labels, texts = [source.label for source in corpus.sources()], defaultdict(list)
    documents = corpus.documents
    for number in range(len(documents)):
        name = labels[int(documents.records["source"][number])].removeprefix("s/")
        texts[name].append(documents.text(number))
    named = {one.label.removeprefix("s/"): one.problems() for one in corpus.sources()}
    return texts, named


@pytest.mark.parametrize("name", FILES)
def test_records(name: str, built: Built) -> None:
    assert (built[0].get(name, []), built[1][name]) == FILES[name][1:]


def test_conversations_in_columns_are_counted(
    built: Built,
) -> None:
    assert built[1]["chat.parquet"] == [
        "7 conversations in 'messages' skipped (build a corpus of conversations, or turn on "
        "“Read conversations as text” to read them)"
    ]


def test_conversations_are_read_as_text_where_it_is_asked_for(tmp_path: Path) -> None:
    sources = tmp_path / "s"
    sources.mkdir()
    seen = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"image": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": [1]}, *TURNS,
    ]  # fmt: skip
    lines = [{"messages": seen}, {"conversations": SHARED}, {"text": "kept", "messages": TURNS}]
    (sources / "chat.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (sources / "one.json").write_text(json.dumps({"messages": TURNS}), encoding="utf-8")
    (sources / "chat.csv").write_text(FILES["chat.csv"][0], encoding="utf-8", newline="")
    rows = {"messages": [TURNS, None, TURNS]}
    pyarrow.parquet.write_table(arrow.table(rows), sources / "chat.parquet")
    settings = KEEP_ALL.model_copy(update={"conversations": True})
    corpus = build_corpus(tmp_path / "c", [sources], settings).corpus
    turns = "\n\n".join(f"{one['role'].capitalize()}: {one['content']}" for one in TURNS)
    shared = "\n\n".join(f"{one['from'].capitalize()}: {one['value']}" for one in SHARED)
    documents = corpus.documents
    texts = [documents.text(number).strip() for number in range(len(documents))]
    assert texts == [turns, f"User: What is it?\n\n{turns}", shared, "kept", turns, turns, turns]
    report = corpus.manifest.report
    assert report.conversations == 0
    assert report.left_out == {"parts of conversations without text": 3}
    assert report.problems == ["s/chat.parquet: row 2: no conversation in 'messages'"]
