"""Corpora from datasets of a hub that runs here: the same as from the files by hand."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.datasets.corpus_program import build_from_hub
from cptstudio.datasets.look_program import work as look
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from tests.models.fake_hub import FakeHub

pytestmark = pytest.mark.slow

ID = "some-org/texts"
TEXTS = [f"Document {n}: the {n * 7919}th thing that was written down here." for n in range(900)]


def parquet(texts: list[str], group: int = 100) -> bytes:
    # Columns that are not wanted are most of the file.
    weight = [os.urandom(4000).hex() for _ in texts]
    table = pyarrow.table({"id": list(range(len(texts))), "weight": weight, "body": texts})
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, row_group_size=group, compression="zstd")
    return out.getvalue()


def lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"body": text}).encode() + b"\n" for text in texts)


CARD = b"""---
license: odc-by
configs:
- config_name: tables
  default: true
  data_files: "tables/*"
- config_name: lines
  data_files: [{split: train, path: "lines/*"}]
---
# Texts <script>alert(1)</script>
"""
FILES = {
    "README.md": CARD,
    "tables/train-00000-of-00002.parquet": parquet(TEXTS[:500]),
    "tables/train-00001-of-00002.parquet": parquet(TEXTS[500:]),
    "lines/a.jsonl": lines(TEXTS),
    "lines/b.jsonl.gz": gzip.compress(lines(TEXTS[:10])),
    "evil.py": b"import os; os.abort()",
}


class Building:
    """Builds corpora from the hub into a folder, and knows what came of it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.settings = BuildSettings(text_field="body")

    def from_hub(self, name: str, **chosen: Any) -> Corpus:
        with Path(os.devnull).open("wb") as nowhere:
            corpus, _ = build_from_hub(
                self.place / name,
                self.place / "downloads",
                {"id": ID, **chosen},
                self.settings,
                None,
                Answer(nowhere.fileno()),
                lambda moment: None,
                workers=1,
            )
        return corpus

    def by_hand(self, name: str, files: dict[str, bytes]) -> Corpus:
        source = self.place / f"{name}-files"
        source.mkdir()
        for path, content in files.items():
            (source / path).write_bytes(content)
        return build_corpus(
            self.place / name, sorted(source.iterdir()), self.settings, workers=1
        ).corpus


@pytest.fixture
def building(tmp_path: Path) -> Building:
    return Building(tmp_path)


def test_the_first_conversations_of_a_dataset_and_columns_that_are_named(
    hub_server: FakeHub, building: Building
) -> None:
    talks = [
        [
            {"role": "user", "content": f"Who wrote text {n}?"},
            {"role": "assistant", "content": text},
        ]
        for n, text in enumerate(TEXTS[:40])
    ]
    table = pyarrow.table(
        {"id": range(40), "messages": talks, "ask": TEXTS[:40], "say": TEXTS[:40]}
    )
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, row_group_size=10)
    hub_server.add_dataset(ID, {"train.parquet": out.getvalue()})
    building.settings = BuildSettings(kind="conversations")
    corpus = building.from_hub("first", rows=7)
    counts = corpus.manifest.report.talks
    assert counts is not None
    assert counts.forms == {"messages": 7}
    with pytest.raises(UserError, match="has no column 'answer': choose prompt and answer, of id"):
        building.settings = BuildSettings(
            kind="conversations", prompt_column="ask", answer_column="answer"
        )
        building.from_hub("wrong")
    building.settings = BuildSettings(
        kind="conversations", prompt_column="ask", answer_column="say"
    )
    counts = building.from_hub("named", rows=5).manifest.report.talks
    assert counts is not None
    assert counts.forms == {"named columns": 5}


def test_whole_files_give_the_documents_that_they_give_by_hand(
    hub_server: FakeHub, building: Building
) -> None:
    repo = hub_server.add_dataset(ID, FILES)
    hub_server.faults.cut_after, hub_server.faults.cuts = 60_000, 2
    corpus = building.from_hub("hub")
    given = {name.split("/")[1]: FILES[name] for name in FILES if name.startswith("tables/")}
    assert corpus.manifest.fingerprint == building.by_hand("hand", given).manifest.fingerprint
    assert sum(corpus.manifest.report.documents.values()) == len(TEXTS)
    hub = corpus.manifest.sources[0].hub
    assert hub is not None
    assert (hub.id, hub.commit, hub.license, hub.rows) == (ID, repo.commit, "odc-by", None)
    assert (hub.configuration, hub.split, hub.file) == ("tables", "train", list(FILES)[1])
    assert not hub_server.asked_for("evil.py")
    # What was fetched is kept with the corpus, so it is built again without asking anybody.
    hub_server.requests.clear()
    again = open_corpus(building.place / "hub")
    settings = BuildSettings(text_field="body", near_dedup=False)
    rebuilt = build_corpus(building.place / "hub", again.given_sources(), settings, workers=1)
    assert rebuilt.corpus.manifest.sources[0].hub == hub
    assert not hub_server.requests
    assert not [path for path in (building.place / "downloads").rglob("*") if path.is_file()]


@pytest.mark.parametrize("configuration", ["tables", "lines"])
def test_so_many_rows_are_sent_and_no_more(
    hub_server: FakeHub, building: Building, configuration: str
) -> None:
    hub_server.add_dataset(ID, FILES)
    corpus = building.from_hub("part", configuration=configuration, rows=620)
    by_hand = building.by_hand("hand", {"a.jsonl": lines(TEXTS[:620])})
    assert corpus.manifest.fingerprint == by_hand.manifest.fingerprint
    taken = [one.hub.rows for one in corpus.manifest.sources if one.hub]
    assert taken == ([500, 120] if configuration == "tables" else [620])
    if configuration == "tables":
        whole = sum(len(content) for name, content in FILES.items() if name.startswith("tables"))
        assert hub_server.sent < 0.7 * whole
    few = building.from_hub("few", configuration=configuration, rows=3)
    assert sum(few.manifest.report.documents.values()) == 3


def test_a_cancelled_one_goes_on_with_what_came(hub_server: FakeHub, building: Building) -> None:
    hub_server.add_dataset(ID, FILES)
    hub_server.faults.errors, hub_server.faults.error_status = 1, 404
    with pytest.raises(UserError):
        building.from_hub("broken")
    # One file is refused, what came of the others is kept.
    hub_server.faults.damaged = True
    with pytest.raises(UserError, match="does not match what the hub announced"):
        building.from_hub("broken", configuration="lines")
    hub_server.faults.damaged = False
    assert not (building.place / "broken").exists()
    assert [path for path in (building.place / "downloads").rglob("*") if path.is_file()]
    old = building.place / "downloads" / "dataset-of-old"
    old.mkdir()
    os.utime(old, (1.0, 1.0))
    assert building.from_hub("broken", configuration="lines").manifest.sources
    assert not old.exists()


def test_what_a_data_set_holds_is_told_before_anything_is_fetched(hub_server: FakeHub) -> None:
    repo = hub_server.add_dataset(ID, FILES)
    told = look({"id": ID, "revision": None}, None)
    assert (told["commit"], told["license"], told["converted"]) == (repo.commit, "odc-by", False)
    tables, jsonl = told["configurations"]
    assert (tables["name"], tables["is_default"], jsonl["name"]) == ("tables", True, "lines")
    assert tables["splits"][0]["files"] == 2
    assert not hub_server.asked_for(".parquet")
    seen = look({"id": ID, "configuration": "tables", "split": "train"}, None)
    assert seen["rows"] == 900
    assert hub_server.sent < 0.5 * sum(map(len, FILES.values()))
    fields = {one["name"]: one for one in seen["fields"]}
    assert fields["body"]["is_text"] and fields["body"]["examples"] == TEXTS[:3]
    assert not fields["id"]["is_text"]
    seen = look({"id": ID, "configuration": "lines", "split": "train"}, None)
    assert seen["fields"][0]["examples"] == TEXTS[:3] and seen["rows"] is None


def test_what_has_no_readable_files_comes_from_the_hubs_conversion(
    hub_server: FakeHub, building: Building
) -> None:
    files = {"README.md": CARD, "data.weird": b"x"}
    converted = {"default/train/0000.parquet": parquet(TEXTS[:60])}
    repo = hub_server.add_dataset(ID, files, converted=converted)
    corpus = building.from_hub("converted")
    hub = corpus.manifest.sources[0].hub
    assert hub is not None and hub.commit == repo.commit_of(converted)
    assert sum(corpus.manifest.report.documents.values()) == 60
    hub_server.add_dataset(ID, files)
    with pytest.raises(UserError, match="no Parquet, JSON lines"):
        building.from_hub("none")


def test_what_cannot_be_is_refused_in_words(hub_server: FakeHub, building: Building) -> None:
    with pytest.raises(UserError, match="The hub has no dataset some-org/texts"):
        building.from_hub("x")
    hub_server.add_dataset(ID, FILES)
    with pytest.raises(UserError, match="has no configuration 'none'"):
        building.from_hub("x", configuration="none")
    with pytest.raises(UserError, match="has no split 'test'"):
        building.from_hub("x", split="test")
    with pytest.raises(UserError, match="no such branch"):
        building.from_hub("x", revision="v9")
    hub_server.faults.ignore_range = True
    with pytest.raises(UserError, match="cannot be read in parts"):
        building.from_hub("x", rows=5)
    hub_server.faults.ignore_range = False
    hub_server.add_dataset(ID, FILES | {"README.md": CARD}, gated=True)
    with pytest.raises(UserError, match=f"Open {hub_server.address}/datasets/{ID} in a browser"):
        building.from_hub("x")
    assert not (building.place / "x").exists()


def test_a_corpus_is_built_from_the_terminal(hub_server: FakeHub, tmp_path: Path) -> None:
    repo = hub_server.add_dataset(ID, FILES)
    runner = CliRunner()
    assert ID in runner.invoke(app, ["datasets", "search", "texts"]).stdout
    shown = runner.invoke(app, ["datasets", "show", ID])
    assert repo.commit in shown.stdout and "odc-by" in shown.stdout
    fields = runner.invoke(app, ["datasets", "show", ID, "--split", "train"])
    assert "900 rows" in fields.stdout and "body" in fields.stdout
    place = ["--workspace", str(tmp_path), "--text-field", "body", "--workers", "1", "--json"]
    done = runner.invoke(app, ["datasets", "build", "web", ID, "--rows", "50", *place])
    assert done.exit_code == 0, done.output
    assert sum(json.loads(done.stdout)["report"]["documents"].values()) == 50
    shown = runner.invoke(app, ["corpus", "show", "web", "--workspace", str(tmp_path)])
    assert f"From the hub: {ID} at {repo.commit}" in shown.stdout and "odc-by" in shown.stdout
