"""Readers in processes of their own: what kills one costs a file, and nothing outlives a build."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import psutil
import pytest

from cptstudio.child_limits import Limits
from cptstudio.corpus import equal_files, reader_pool
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_progress import Progress
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.equal_files import EqualFiles
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.reader_versions import LIBRARIES
from cptstudio.corpus.readers import dispatch
from tests.corpus import bad_readers
from tests.web.server_process import wait_for

_BUILD = """
import signal
import sys
import threading
from importlib.metadata import packages_distributions
from pathlib import Path
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.reader_versions import LIBRARIES
from cptstudio.corpus.readers import dispatch
# Whoever started the tests may have them ignore it, as a shell's background does.
signal.signal(signal.SIGINT, signal.default_int_handler)
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


@pytest.mark.slow
def test_a_reader_that_crashes_costs_its_file(tmp_path: Path, bad: Path) -> None:
    (bad / "05.crash").write_text("x", encoding="utf-8")
    (bad / "07.leave").write_text("x", encoding="utf-8")
    one = build_corpus(tmp_path / "one", [bad], workers=1).corpus
    assert one.manifest.report.problems == [
        "s/05.crash: unreadable: its reader crashed: it accessed invalid memory",
        "s/07.leave: unreadable: its reader ended without sending an answer",
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
    monkeypatch.setattr(reader_pool, "for_a_reader", lambda readers: Limits(4, 400_000_000, "", ""))
    (bad / "05.hang").write_text("x", encoding="utf-8")
    (bad / "07.swell").write_text("x", encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [bad], workers=2).corpus
    hang, swell = corpus.manifest.report.problems
    assert hang == ("s/05.hang: unreadable: its reader did not answer within 4 s, so it was ended")
    assert "s/07.swell: unreadable: its reader used 0." in swell
    assert swell.endswith(" GB of memory. The limit on this machine is 0.4 GB, so it was ended")
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


@pytest.mark.slow
def test_files_that_hold_the_same_are_read_once(
    tmp_path: Path, bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(equal_files, "_LEAST_LIGHT", 1)
    numbers = f"{log}\n" + "1234567890 " * 12_000  # A line that is told, by the file's name.
    for place in ("1.count", "a/2.count", "a/b/3.count"):
        (bad / place).parent.mkdir(exist_ok=True)
        (bad / place).write_text(numbers, encoding="utf-8")
    (bad / "4.count").write_text(f"{log}\n" + "1234567891 " * 12_000, encoding="utf-8")
    for name in ("5.crash", "6.crash", "plain too.txt", "dataset_info.json", "no dataset.json"):
        text = {"crash": "x", "txt": "Text of its own."}.get(
            name.rpartition(".")[2], '{"text": "T"}'
        )
        (bad / name).write_text(text, encoding="utf-8")
    with zipfile.ZipFile(bad / "1.zip", "w") as archive:
        archive.writestr("inside.txt", "Text in an archive.")
    shutil.copy(bad / "1.zip", bad / "2.zip")
    once = build_corpus(tmp_path / "once", [bad], workers=2).corpus
    assert sorted(log.read_text().splitlines()) == ["s/1.count", "s/4.count"]
    assert not (once.folder / "documents" / "read").exists()
    with monkeypatch.context() as changed:
        changed.setattr(EqualFiles, "of", lambda *_: None)
        twice = build_corpus(tmp_path / "twice", [bad], workers=1).corpus
    assert "s/a/2.count" in log.read_text()
    assert facts(once) == facts(twice)
    # One that was changed before its turn is read itself.
    read = EqualFiles.of

    def changing(self: EqualFiles, number: int) -> tuple[str, list[int]] | None:
        found = read(self, number)
        return found and (found[0] if number != found[1][1] else "other", found[1])

    with monkeypatch.context() as changed:
        changed.setattr(EqualFiles, "of", changing)
        again = build_corpus(tmp_path / "again", [bad]).corpus
    assert facts(again) == facts(once)


def test_what_was_read_ahead_of_its_turn_is_told(tmp_path: Path, bad: Path) -> None:
    """A file that takes long comes first: others are read meanwhile, and the progress goes on."""
    (bad / "000.wait").write_text(str(tmp_path / "told"), encoding="utf-8")

    class EnoughError(Exception):
        pass

    def tell(moment: Progress) -> None:
        # Sixteen files are asked for at once; the other five are read by the other process.
        if moment.phase == "reading" and moment.files_done == 5:
            assert 0 < moment.bytes_done < moment.bytes_total
            raise EnoughError

    with pytest.raises(EnoughError):
        build_corpus(tmp_path / "c", [bad], progress=tell, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_reader_outlives_its_build_and_the_former_corpus_stays(
    tmp_path: Path, bad: Path, end: signal.Signals
) -> None:
    former = facts(build_corpus(tmp_path / "c", [bad]).corpus)
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
    assert facts(open_corpus(tmp_path / "c")) == former
    (bad / "05.wait").unlink()
    assert not build_corpus(tmp_path / "c", [bad]).changed


@pytest.mark.slow
def test_only_files_whose_content_changed_are_read_again(tmp_path: Path, bad: Path) -> None:
    told = tmp_path / "told"

    def write(name: str, text: str) -> None:
        (bad / name).write_text(f"{told}\n{text}", encoding="utf-8")

    for name in ("a.count", "b.count", "c.count"):
        write(name, f"The first text of {name}.")
    (bad / ".hidden").write_text("left aside", encoding="utf-8")
    build_corpus(tmp_path / "c", [bad])
    assert sorted(told.read_text().split()) == ["s/a.count", "s/b.count", "s/c.count"]
    told.unlink()
    write("b.count", "The other text of b.count.")
    os.utime(bad / "c.count", (1, 1))
    (bad / "00.html").unlink()
    changed = build_corpus(tmp_path / "c", [bad]).corpus
    assert told.read_text().split() == ["s/b.count"]
    assert facts(changed) == facts(build_corpus(tmp_path / "anew", [bad]).corpus)
    told.unlink()
    # Other settings of what becomes of documents read none of them; others read all.
    settings = BuildSettings(near_dedup=False, validation=0.3)
    assert build_corpus(tmp_path / "c", [bad], settings).changed and not told.exists()
    build_corpus(tmp_path / "c", [bad], BuildSettings(text_field="other"))
    assert len(told.read_text().split()) == 3


@pytest.mark.slow
def test_a_damaged_former_version_is_not_taken_for_what_was_read(tmp_path: Path, bad: Path) -> None:
    former = build_corpus(tmp_path / "c", [bad]).corpus
    shard = former.folder / "documents" / "text-00000.zst"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (bad / "00.html").write_text("<p>changed", encoding="utf-8")
    again = build_corpus(tmp_path / "c", [bad]).corpus
    assert facts(again) == facts(build_corpus(tmp_path / "anew", [bad]).corpus)


def test_every_library_that_readers_use_decides_whether_a_text_is_read_again() -> None:
    names = set()
    for path in Path(dispatch.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(one.name.partition(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    # numpy only computes places, by operations that IEEE 754 decides.
    names -= sys.stdlib_module_names | {"cptstudio", "numpy"}
    distributions = packages_distributions()
    used = {distributions[name][0].lower().replace("_", "-") for name in names}
    assert "lxml" in used
    assert used <= set(LIBRARIES)


@pytest.mark.slow
def test_a_reader_that_is_killed_once_reads_its_file_again_and_twice_costs_it(
    tmp_path: Path, bad: Path
) -> None:
    told = tmp_path / "told"
    (bad / "05.wait").write_text(str(told), encoding="utf-8")
    built: list[Corpus] = []
    build = threading.Thread(
        target=lambda: built.append(build_corpus(tmp_path / "c", [bad]).corpus)
    )
    build.start()
    killed = set()
    # Not the first file of the first process, so it gets another chance, in one of its own.
    while len(killed) < 2:
        wait_for(lambda: told.exists() and told.read_text() not in ("", *killed), "a reader waits")
        killed.add(told.read_text())
        os.kill(int(told.read_text()), signal.SIGKILL)
    build.join()
    (problem,) = built[0].manifest.report.problems
    assert problem.startswith("s/05.wait: unreadable: its reader was ended from outside")
    assert sum(built[0].manifest.report.documents.values()) == 21
