"""Readers in processes of their own: what kills one costs a file, and nothing outlives a build."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cptstudio.child_limits import Limits
from cptstudio.corpus import reader_pool
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.readers import dispatch
from tests.corpus import bad_readers
from tests.web.server_process import wait_for

_BUILD = """
import sys
from pathlib import Path
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.readers import dispatch
build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])], workers=2)
"""


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources, where programs that read documents have the bad readers, too."""
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(bad_readers.__file__, site / "sitecustomize.py")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(dispatch, "_HEAVY", dispatch._HEAVY | bad_readers.READERS.keys())
    sources = tmp_path / "s"
    sources.mkdir()
    for number in range(20):
        page = f"<p>The page of number {number}.</p>"
        (sources / f"{number:02d}.html").write_text(page, encoding="utf-8")
    (sources / "plain.txt").write_text("Text of its own.", encoding="utf-8")
    return sources


def facts(corpus: Corpus) -> object:
    """All that a build found out, but for when and where."""
    report = corpus.manifest.report.model_dump()
    return corpus.manifest.fingerprint, report, [one.model_dump() for one in corpus.sources()]


def alive(process: psutil.Process) -> bool:
    """Whether a process is still there, and not only its exit status."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_reader_that_crashes_costs_its_file(tmp_path: Path, bad: Path) -> None:
    (bad / "05.crash").touch()
    (bad / "07.leave").touch()
    one = build_corpus(tmp_path / "one", [bad], workers=1).corpus
    assert one.manifest.report.problems == [
        "s/05.crash: cannot be read: its reader crashed: it accessed invalid memory",
        "s/07.leave: cannot be read: its reader ended without an answer",
    ]
    assert sum(one.manifest.report.documents.values()) == 21
    three = build_corpus(tmp_path / "three", [bad], workers=3).corpus
    assert facts(three) == facts(one)
    assert not (three.folder / "documents" / "read").exists()


@pytest.mark.slow
def test_a_reader_that_hangs_or_takes_all_memory_costs_its_file(
    tmp_path: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_pool, "reader_seconds", lambda size: 4)
    monkeypatch.setattr(reader_pool, "for_a_reader", lambda readers: Limits(4, 400_000_000))
    (bad / "05.hang").touch()
    (bad / "07.swell").touch()
    corpus = build_corpus(tmp_path / "c", [bad], workers=2).corpus
    hang, swell = corpus.manifest.report.problems
    assert hang == (
        "s/05.hang: cannot be read: its reader gave no answer for 4 seconds, so it was ended"
    )
    assert swell.startswith("s/07.swell: cannot be read: its reader took 0.4 GB of memory")
    assert sum(corpus.manifest.report.documents.values()) == 21


def test_much_text_is_read_by_processes_to_the_same_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tmp_path / "s"
    sources.mkdir()
    for number in range(30):
        rows = [{"text": f"row {row} of {number}, " + "word " * (row % 9)} for row in range(50)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (sources / f"{number}.jsonl").write_text(lines + "{broken\n" * (number % 3), "utf-8")
    here = build_corpus(tmp_path / "here", [sources]).corpus
    monkeypatch.setattr(reader_pool, "_MUCH", 1000)
    apart = build_corpus(tmp_path / "apart", [sources], workers=2).corpus
    assert facts(apart) == facts(here)
    assert here.manifest.report.problem_count == 30


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_reader_outlives_its_build_and_the_former_corpus_stays(
    tmp_path: Path, bad: Path, end: signal.Signals
) -> None:
    former = build_corpus(tmp_path / "c", [bad]).corpus
    told = tmp_path / "told"
    (bad / "05.wait").write_text(str(told), encoding="utf-8")
    build = subprocess.Popen(
        [sys.executable, "-c", _BUILD, tmp_path / "c", bad],
        env={**os.environ, "PYTHONPATH": f"{bad.parent / 'site'}"},
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: told.exists() and told.read_text(), "the reader waits")
    reader = psutil.Process(int(told.read_text()))
    build.send_signal(end)
    build.communicate()
    wait_for(lambda: not alive(reader), "the reader has ended")
    assert facts(open_corpus(tmp_path / "c")) == facts(former)
    (bad / "05.wait").unlink()
    assert not build_corpus(tmp_path / "c", [bad]).changed
