"""Study texts: planned, written by an endpoint, killed, gone on with, built, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cptstudio.cli.workspace_check import check_workspace
from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.evaluation.reports import Reports
from cptstudio.json_lines import read_json_lines
from cptstudio.ledgers.fact import FactText, Made, fact_of
from cptstudio.ledgers.fact import Source as FactSource
from cptstudio.ledgers.ledger import add_facts
from cptstudio.study.folder import TEXTS
from cptstudio.study.make_program import work
from cptstudio.study.programs import MAKE
from cptstudio.workspace import Workspace
from cptstudio.writers.made import MADE
from tests.evaluation.silence import Silence
from tests.study.writing_server import WritingServer, confirmed
from tests.web.server_process import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WAIT = 600.0


@pytest.fixture
def server(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritingServer]:
    found = WritingServer()
    with confirmed(found, workspace, monkeypatch):
        yield found


def request(workspace: Workspace, name: str, do: str = "make", **more: Any) -> dict[str, Any]:
    settings = {"strategies": ["paraphrase"], "passage_tokens": 60, "near_dedup": False}
    return {
        "do": do,
        "workspace": str(workspace.root),
        "name": name,
        "corpus": "villages",
        "settings": {**settings, **more.pop("settings", {})},
        "writer": {"kind": "templates"},
        **more,
    }


def at(server: WritingServer, model: str = "writer") -> dict[str, str]:
    return {"kind": "endpoint", "endpoint": f"127.0.0.1:{server.port}", "model": model}


def run(asked: dict[str, Any]) -> dict[str, Any]:
    return work(asked, Silence())


def lines(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path).records


def test_a_corpus_by_templates_and_where_each_document_came_from(workspace: Workspace) -> None:
    plan = run(request(workspace, "by-rules", "plan"))
    assert not workspace.study("by-rules").exists()
    trained = open_corpus(workspace.corpus("villages")).manifest.report.documents["train"]
    # One is a page number.
    assert (plan["documents"], plan["sent_to"], plan["cost"]) == (trained - 1, None, None)
    assert plan["texts"] == 2 * plan["passages"]
    made = run(request(workspace, "by-rules"))
    assert made["kept"] == made["written"] == plan["texts"]
    assert made["strategies"]["paraphrase"]["kept_names_and_numbers"] == 1
    corpus = open_corpus(workspace.corpus("by-rules"))
    texts = lines(workspace.study("by-rules") / TEXTS)
    assert [corpus.documents.text(at) for at in range(len(texts))] == [one["text"] for one in texts]
    assert corpus.manifest.report.documents["train"] == len(texts)
    of = texts[-1]["study"]
    source = open_corpus(workspace.corpus("villages"))
    label = source.source_labels([int(source.documents.records[of["document"]]["source"])])
    assert of["source"] in label.values()
    assert (of["strategy"], of["wording"], of["writer"]["kind"]) == ("paraphrase", 1, "templates")
    # Held-out documents are never looked at.
    assert (
        source.documents.records["status"][[one["study"]["document"] for one in texts]].max() == 0
    )
    assert check_workspace(workspace) == []
    again = run(request(workspace, "by-rules"))
    assert again["kept"] == made["kept"]
    assert open_corpus(workspace.corpus("by-rules")).manifest.version == corpus.manifest.version


def test_killed_in_the_middle_it_goes_on_and_ends_equal(
    workspace: Workspace, server: WritingServer
) -> None:
    settings = {"strategies": ["paraphrase", "entities"], "pairs": 1, "parallel": 2}
    whole = request(workspace, "whole", writer=at(server), settings=settings)
    expected = run(whole)
    assert expected["kept"] > 20
    assert expected["cost"] == pytest.approx(
        (expected["tokens_in"] * 1.0 + expected["tokens_out"] * 10.0) / 1e6
    )
    asked = server.texts
    broken = {**whole, "name": "broken"}
    server.silent_at = server.texts + asked // 2
    program = subprocess.Popen(
        [sys.executable, "-m", MAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    program.stdin.write(json.dumps(broken).encode() + b"\n")
    program.stdin.flush()
    assert server.silent.wait(WAIT)
    # The key is in no list of processes.
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout
    assert server.key.encode() not in listed
    with pytest.raises(UserError, match="are being written now"):
        run(broken)
    os.kill(program.pid, signal.SIGKILL)
    out, errors = program.communicate()
    folder = workspace.study("broken")
    before = len(lines(folder / MADE))
    assert 0 < before < asked
    assert not workspace.corpus("broken").exists()
    with (folder / MADE).open("ab") as file:
        file.write(b'{"key": "torn')
    server.silent_at = None
    server.texts = 0
    found = run(broken)
    assert server.texts == asked - before
    assert (folder / TEXTS).read_bytes() == (workspace.study("whole") / TEXTS).read_bytes()
    same = ("kept", "written", "dropped", "strategies", "examples", "tokens_in", "tokens_out")
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    fingerprints = {
        open_corpus(workspace.corpus(name)).manifest.fingerprint for name in ("whole", "broken")
    }
    assert len(fingerprints) == 1
    assert "Atlantis" not in (folder / TEXTS).read_text()
    # No file of the workspace has the key, nor what the program said.
    assert server.key.encode() not in out + errors
    for path in workspace.root.rglob("*"):
        assert path.is_dir() or server.key.encode() not in path.read_bytes(), path


def test_a_writer_that_does_not_work_ends_and_keeps_what_was_written(
    workspace: Workspace, server: WritingServer
) -> None:
    tried = run(request(workspace, "tried", writer=at(server), most=3))
    assert (tried["corpus"], tried["written"]) == (None, 3)
    assert tried["missing"] > 3
    assert "3 texts were asked for this time" in tried["stopped"]
    assert not workspace.corpus("tried").exists()
    plan = run(request(workspace, "tried", "plan", writer=at(server)))
    assert plan["done"] == 3
    assert plan["sent_to"] == f"127.0.0.1:{server.port}"
    assert plan["seconds"] > 0
    assert plan["cost"] > 0
    for model, words in (
        ("too-long", "8 texts in a row could not be written.*maximum context is 8 tokens"),
        ("unknown-key", "wants a key that it knows"),
        ("redirects", "only a host that you confirmed"),
    ):
        with pytest.raises(UserError, match=words):
            run(request(workspace, "tried", writer=at(server, model)))
    stopped = run(request(workspace, "tried", writer=at(server), settings={"max_cost": 0.001}))
    assert "maximum cost" in stopped["stopped"]
    assert stopped["corpus"] == "tried"
    assert 3 < stopped["kept"] < plan["texts"]


def test_a_cancel_does_not_wait_for_an_answer(workspace: Workspace, server: WritingServer) -> None:
    server.silent_at = 2
    program = subprocess.Popen(
        [sys.executable, "-m", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdin is not None
    asked = request(workspace, "canceled", writer=at(server))
    program.stdin.write(json.dumps(asked).encode() + b"\n")
    program.stdin.flush()
    assert server.silent.wait(WAIT)
    # Of two that are asked at once, the one before may still be on its way.
    made = workspace.study("canceled") / MADE
    wait_for(lambda: made.is_file() and len(lines(made)) == 2, "the texts before the silent one")
    # The far end's bound of an answer is minutes; nobody waits for that.
    ended = threading.Timer(WAIT, program.kill)
    ended.start()
    program.stdin.close()
    assert program.wait() == 130
    ended.cancel()
    assert len(lines(made)) == 2


def test_the_questions_of_a_ledger_are_in_no_text(workspace: Workspace) -> None:
    asked = request(workspace, "no-leaks", settings={"strategies": ["questions"], "wordings": 3})
    before = run(asked)
    texts = [one["text"] for one in lines(workspace.study("no-leaks") / TEXTS)]
    question = next(line for line in texts[0].splitlines() if "By whom" in line)
    gap = next(line for one in texts for line in one.splitlines() if "____" in line)
    cloze = gap[gap.index('"') + 1 : gap.rindex('"')].replace("____", "___")
    facts = [
        FactText(question=question.removeprefix("Question: "), answer="somebody"),
        FactText(cloze=cloze, answer="something"),
    ]
    add_facts(workspace, "asked", [fact_of(one, Made()) for one in facts])
    try:
        after = run(asked)
        left = (workspace.study("no-leaks") / TEXTS).read_text()
        dropped = after["dropped"]["words a ledger question"]
        assert dropped >= 2
        assert after["kept"] == before["kept"] - dropped
        assert facts[0].question is not None
        assert facts[0].question not in left
        assert cloze.replace("___", "____") not in left
        assert after["ledgers"] == {"names": ["asked"], "too_short": 0}
    finally:
        shutil.rmtree(workspace.facts / "asked")


def test_aimed_at_what_a_model_does_not_know(workspace: Workspace) -> None:
    source = open_corpus(workspace.corpus("villages"))
    trained = np.flatnonzero(source.documents.records["status"] == 0).tolist()
    texts = [source.documents.text(at) for at in trained]
    chosen = [text for text in texts if "Elder Mik" in text][:3]
    facts = []
    for text in chosen:
        sentence = text[text.index("It was founded") : text.index(" The village")]
        made = FactText(
            question=f"Who was first? {sentence[20:40]}",
            answer="x",
            source=FactSource(corpus="villages", sentence=sentence),
        )
        facts.append(fact_of(made, Made()))
    add_facts(workspace, "aim", facts)
    states = ("unknown", "learned", "forgotten")
    found = {
        "ledger": "aim",
        "models": [{"label": "base"}, {"label": "run@last"}],
        "facts": [
            {"id": fact.id, "models": [{"leads": True}, {"state": state}]}
            for fact, state in zip(facts, states, strict=True)
        ],
    }
    Reports(workspace).keep("facts", "aim: base, run@last", {}, found)
    aimed = {"unknown_ledger": "aim", "unknown_model": "run@last"}
    try:
        plan = run(request(workspace, "aimed", "plan", settings=aimed))
        assert (plan["documents"], plan["passages"]) == (2, 2)
        aimed["unknown_model"] = "other"
        with pytest.raises(UserError, match=r"was not asked of 'other' yet.*base, run@last"):
            run(request(workspace, "aimed", "plan", settings=aimed))
    finally:
        shutil.rmtree(workspace.facts / "aim")


def test_what_is_refused(workspace: Workspace) -> None:
    for more, words in (
        ({"corpus": "none"}, "There is no corpus 'none'"),
        ({"name": "villages"}, "There is already a corpus 'villages'"),
        ({"settings": {"strategies": ["beginner"]}}, "Templates cannot write beginner"),
        ({"writer": {"kind": "endpoint", "endpoint": "a.b", "model": "m"}}, "was confirmed"),
        ({"writer": {"kind": "model"}}, "Name the model that writes"),
    ):
        asked = {**request(workspace, "refused"), **more}
        with pytest.raises(UserError, match=words):
            run(asked)
    assert not workspace.study("refused").exists()
