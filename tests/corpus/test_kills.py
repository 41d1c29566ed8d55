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


def content(corpus: Corpus) -> list[str]:
    documents = corpus.documents
    store = corpus.token_store()
    store.verify()
    assert len(store.sides) == len(documents)
    return sorted(documents.text(number) for number in range(len(documents)))


def run(folder: Path, sources: Path, model: Path, step: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.corpus.kill_build", folder, sources, model, str(step)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )


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
    whole = run(tmp_path / "c", sources, model_folder, step=-1)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    new = content(open_corpus(tmp_path / "c"))
    assert new != former
    assert steps > 20
    outcomes = set()
    # Every step of the commit at the end, and a share of the many before it.
    for step in [*range(1, steps - 8, max(1, steps // 6)), *range(steps - 8, steps + 1)]:
        shutil.rmtree(tmp_path / "c")
        shutil.copytree(tmp_path / "former", tmp_path / "c")
        killed = run(tmp_path / "c", sources, model_folder, step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        found = content(open_corpus(tmp_path / "c"))
        assert found in (former, new)
        outcomes.add(found == new)
        build_corpus(tmp_path / "c", [sources], model_path=model_folder)
        assert content(open_corpus(tmp_path / "c")) == new
        left = [path.name for path in (tmp_path / "c" / "versions").iterdir()]
        assert left == [open_corpus(tmp_path / "c").manifest.version]
    assert outcomes == {True, False}
