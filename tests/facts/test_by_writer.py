"""Facts that an endpoint writes: planned, killed in the middle, gone on with, checked, kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.facts.make_program import work
from cptstudio.facts.programs import MAKE
from cptstudio.json_lines import read_json_lines
from cptstudio.ledgers.fact import FactText, Made, fact_of
from cptstudio.ledgers.ledger import add_facts, read_ledger
from cptstudio.workspace import Workspace
from cptstudio.writers.made import MADE
from tests.evaluation.silence import Silence
from tests.study.writing_server import WritingServer, confirmed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WAIT = 600.0
NAMES = "abcdefghijklmnop"
WRONG = {
    "JSON wrong": "b",
    "proving sentence not in the passage": "c",
    "answer not in the proving sentence": "d",
    "question contains the answer": "e",
    "question leans on the passage": "f",
    "paraphrase repeats a question": "g",
    "duplicate question": "h",
}
ASKED_BEFORE = "Who built the mill of Oruhven?"


@dataclass
class FactServer(WritingServer):
    """Writes a fact of each village, and of some of them one that is wrong."""

    def written(self, asked: str, seed: int) -> str:
        passage = asked.rpartition("Passage:\n")[2]
        letter, year = re.findall(r"mill of Oru(\w)ven was built\s+by Ana Tor\w in (\d+)", passage)[
            0
        ]
        village, answer = f"Oru{letter}ven", f"Ana Tor{letter}"
        fact: dict[str, Any] = {
            "question": f"Who built the mill of {village}?",
            "answer": answer,
            "sentence": f"The mill of {village} was built by {answer} in {year}.",
            "paraphrases": [
                f"By whom was the mill of {village} built?",
                f"Which person built the mill at {village}?",
            ],
            "reversed": {"question": f"In which year did {answer} build a mill?", "answer": year},
        }
        reason = {letter: reason for reason, letter in WRONG.items()}.get(letter)
        if reason == "JSON wrong":
            return json.dumps(fact)[:-1]
        if reason == "proving sentence not in the passage":
            fact["sentence"] = fact["sentence"].replace("mill", "windmill")
        if reason == "answer not in the proving sentence":
            fact["answer"] = "Elder Mik"
        if reason == "question contains the answer":
            fact["question"] = f"Did {answer} build the mill of {village}?"
        if reason == "question leans on the passage":
            fact["question"] = "Who built the mill in this passage?"
        if reason == "paraphrase repeats a question":
            fact["paraphrases"][1] = fact["question"]
        return f"Here it is:\n```json\n{json.dumps(fact)}\n```"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FactServer]:
    """An endpoint that the workspace at `tmp_path` confirmed, with the corpus "villages"."""
    documents = tmp_path / "documents"
    documents.mkdir()
    for place, letter in enumerate(NAMES):
        (documents / f"{letter}.txt").write_text(
            f"Oru{letter}ven is a village of Zorbia with {30 + place} houses.\nThe mill of "
            f"Oru{letter}ven was built\nby Ana Tor{letter} in {1700 + 9 * place}. It still grinds."
        )
    workspace = Workspace(tmp_path / "workspace")
    workspace.make(workspace.corpora)
    settings = BuildSettings(near_dedup=False, drop_boilerplate=False, validation=0.2, test=0.1)
    build_corpus(workspace.corpus("villages"), [documents], settings, workers=1)
    found = FactServer()
    with confirmed(found, workspace, monkeypatch):
        yield found


def test_killed_in_the_middle_it_goes_on_and_only_facts_that_pass_are_kept(
    server: FactServer, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    before = fact_of(FactText(question=ASKED_BEFORE, answer="someone"), Made())
    for ledger in ("whole", "broken"):
        add_facts(workspace, ledger, [before])
    request: dict[str, Any] = {
        "workspace": str(workspace.root),
        "ledger": "whole",
        "corpus": "villages",
        "choices": {"count": len(NAMES), "held_out": 0.25, "parallel": 2},
        "writer": {"kind": "endpoint", "endpoint": f"127.0.0.1:{server.port}", "model": "writer"},
    }
    plan = work({**request, "do": "plan"}, Silence())
    # A fourth is of held-out documents, as far as there are so many.
    asked = plan["passages"]
    assert asked >= 0.75 * len(NAMES) and server.texts == 0
    assert (plan["done"], plan["sent_to"]) == (0, f"127.0.0.1:{server.port}")
    assert plan["cost"] == pytest.approx((plan["tokens_in"] + 10 * plan["tokens_out"]) / 1e6)

    whole = work(request, Silence())
    facts = read_ledger(workspace, "whole").facts[1:]
    letters = {fact.answer[-1] for fact in facts}
    assert server.texts == asked == whole["written"]
    assert not letters & set(WRONG.values())
    assert len(facts) == whole["made"] == whole["new"] == asked - sum(whole["dropped"].values())
    assert whole["dropped"].keys() <= WRONG.keys() and len(whole["dropped"]) > 3
    assert set(whole["dropped"].values()) == {1}
    assert whole["cost"] == pytest.approx((11 + 10 * 7) * asked / 1e6)
    assert {fact.made.by for fact in facts} == {"endpoint"}
    assert all(fact.source.sentence in fact.source.context for fact in facts)
    assert set(server.keys) == {f"Bearer {server.key}"}

    # The same again asks nobody, and adds nothing.
    again = work(request, Silence())
    assert (again["made"], again["new"], server.texts) == (whole["made"], 0, asked)

    server.texts, server.silent_at = 0, asked // 2
    broken = {**request, "ledger": "broken"}
    program = subprocess.Popen(
        [sys.executable, "-m", MAKE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdin is not None
    program.stdin.write(json.dumps(broken).encode() + b"\n")
    program.stdin.flush()
    assert server.silent.wait(WAIT)
    with pytest.raises(UserError, match="are being written now"):
        work(broken, Silence())
    os.kill(program.pid, signal.SIGKILL)
    program.communicate()
    made = workspace.facts / "broken" / MADE
    kept = len(read_json_lines(made).records)
    assert 0 < kept < asked
    assert len(read_ledger(workspace, "broken").facts) == 1
    with made.open("ab") as file:
        file.write(b'{"key": "torn')
    server.silent_at, server.texts = None, 0
    # The rest by the command line, which asks before it sends.
    command = ["facts", "make", "broken", "-c", "villages", "--count", str(len(NAMES))]
    command += ["--held-out", "0.25", "--writer", "writer", "--workspace", str(workspace.root)]
    command += ["--endpoint", f"127.0.0.1:{server.port}"]
    refused = CliRunner().invoke(app, [*command, "--kinds", "name"])
    assert refused.exit_code != 0 and server.texts == 0
    # Whoever did not confirm is told what would be sent; nothing is.
    refused = CliRunner().invoke(app, command)
    assert f"Send {asked - kept} passages to 127.0.0.1:{server.port}" in str(refused.exception)
    assert server.texts == 0
    said = CliRunner().invoke(app, [*command, "--yes"])
    assert said.exit_code == 0, said.output
    shown = " ".join(said.output.split())
    assert f"{len(facts)} passed the checks" in shown
    assert server.texts == asked - kept
    assert read_ledger(workspace, "broken").facts[1:] == facts
    assert server.key not in made.read_text() + said.output


def test_a_writer_whose_answers_are_useless_is_told(server: FactServer, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    request: dict[str, Any] = {
        "workspace": str(workspace.root),
        "ledger": "useless",
        "corpus": "villages",
        "choices": {"count": 4},
        "writer": {"kind": "endpoint", "endpoint": f"127.0.0.1:{server.port}", "model": "cut-off"},
    }
    with pytest.raises(UserError, match="None of the 4 facts") as told:
        work(request, Silence())
    assert "cut off: 4 (such as: no JSON object)" in str(told.value)
    assert read_ledger(workspace, "useless").facts == ()
    # At the maximum cost it stops; what was written until then is in the ledger.
    cheap = {**request, "ledger": "cheap", "choices": {"count": 16, "max_cost": 0.0003}}
    cheap["writer"] = {**request["writer"], "model": "writer"}
    made = work(cheap, Silence())
    assert "maximum cost" in made["stopped"]
    assert made["missing"] == made["passages"] - made["written"] > 0
    assert len(read_ledger(workspace, "cheap").facts) == made["made"]
    request["writer"]["model"] = "unknown-model"
    with pytest.raises(UserError, match="no such model"):
        work(request, Silence())
    request["writer"]["endpoint"] = "elsewhere.example.com"
    with pytest.raises(UserError):
        work(request, Silence())
