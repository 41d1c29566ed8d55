"""A build killed anywhere, by a real SIGKILL, leaves the former corpus whole."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.workspace import Workspace


def content(corpus: Corpus) -> list[str]:
    documents = corpus.documents
    store = corpus.token_store()
    store.verify()
    assert len(store.sides) == len(documents)
    return sorted(documents.text(number) for number in range(len(documents)))


class Builder:
    """Builds of one corpus in processes of their own, each killed where one says."""

    def __init__(self, folder: Path, sources: Path, model: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.corpus.kill_build", folder, sources, model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def build(self, step: int) -> tuple[int, int]:
        """Kill a build at a traced call (-1: never); returns its status and its calls."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        calls = 0
        for line in self._process.stdout:
            what, number = line.split()
            if what == "status":
                return int(number), calls
            calls = int(number)
        raise AssertionError("the builder ended")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_build_killed_at_any_step_leaves_the_former_or_the_new_corpus(
    tmp_path: Path, model_folder: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.txt").write_text("first version of one", encoding="utf-8")
    (sources / "two.txt").write_text("second document", encoding="utf-8")
    build_corpus(tmp_path / "former", [sources], model_path=model_folder)
    former = content(open_corpus(tmp_path / "former"))
    (sources / "one.txt").write_text("changed version of one", encoding="utf-8")
    shutil.copytree(tmp_path / "former", tmp_path / "c")
    with Builder(tmp_path / "c", sources, model_folder) as builder:
        kill_at_many_steps(tmp_path, sources, model_folder, builder, former)


@pytest.mark.slow
def test_a_first_build_that_is_killed_leaves_no_corpus_in_the_list(
    tmp_path: Path, model_folder: Path
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.txt").write_text("the only document", encoding="utf-8")
    workspace = Workspace(tmp_path)
    with Builder(workspace.corpus("c"), sources, model_folder) as builder:
        left = 0
        for step in (2, 8, 15):
            shutil.rmtree(workspace.corpus("c"), ignore_errors=True)
            status, _ = builder.build(step)
            assert status == -signal.SIGKILL
            left += workspace.corpus("c").exists()
            assert not workspace.corpus_names()
        assert left
    build_corpus(workspace.corpus("c"), [sources])
    assert workspace.corpus_names() == ["c"]


def kill_at_many_steps(
    tmp_path: Path, sources: Path, model_folder: Path, builder: Builder, former: list[str]
) -> None:
    status, steps = builder.build(step=-1)
    assert status == 0
    new = content(open_corpus(tmp_path / "c"))
    assert new != former
    assert steps > 20
    outcomes = set()
    # Every step of the commit at the end, and a share of the many before it.
    for step in [*range(1, steps - 8, max(1, steps // 6)), *range(steps - 8, steps + 1)]:
        shutil.rmtree(tmp_path / "c")
        shutil.copytree(tmp_path / "former", tmp_path / "c")
        status, _ = builder.build(step)
        assert status == -signal.SIGKILL
        found = content(open_corpus(tmp_path / "c"))
        assert found in (former, new)
        outcomes.add(found == new)
        build_corpus(tmp_path / "c", [sources], model_path=model_folder)
        assert content(open_corpus(tmp_path / "c")) == new
        left = [path.name for path in (tmp_path / "c" / "versions").iterdir()]
        assert left == [open_corpus(tmp_path / "c").manifest.version]
    assert outcomes == {True, False}
