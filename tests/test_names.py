"""Names that are one folder on a Mac: refused wherever a name is made; old pairs go on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.errors import UserError
from cptstudio.models.download import target_folder
from cptstudio.prompt_suites import Suite, read_suite, write_suite
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.training.prepare import prepare_run
from cptstudio.workspace import NAME_PATTERN, Workspace, check_name, check_new_name
from tests.runs.toy_runs import make_toy_parts, toy_config
from tests.web.in_process import make_web

PAGES = Path(__file__).parent.parent / "src/cptstudio/web/ui/lib/names.js"
SAME = "would be the same folder on a Mac"


def _suite(workspace: Workspace, name: str) -> None:
    write_suite(workspace, name, Suite(prompts=("Once",)))


def _corpus(workspace: Workspace, name: str) -> None:
    build_corpus(workspace.corpus(name), [Path(__file__)])


def _run(workspace: Workspace, name: str) -> None:
    prepare_run(workspace, name, None)  # type: ignore[arg-type] # the name is looked at first


@pytest.mark.parametrize(
    ("make", "there"),
    [(_suite, "suites/qq.json"), (_corpus, "corpora/qq"), (_run, "models/cpt/qq")],
)
def test_a_name_in_another_case_is_refused(
    tmp_path: Path, make: Callable[[Workspace, str], None], there: str
) -> None:
    path = tmp_path / there
    path.mkdir(parents=True)
    for name in ("QQ", "Qq"):
        with pytest.raises(UserError, match=f"already a .*'qq', which {SAME}"):
            make(Workspace(tmp_path), name)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_run_and_a_fork_say_it_at_the_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.make(workspace.run("qq"))
    manager = TrainingManager(workspace)
    with pytest.raises(UserError) as refused:
        manager.start(toy_config(make_toy_parts(tmp_path / "parts"), "QQ", 5))
    assert [SAME in str(one) for one in refused.value.findings].count(True) == 1
    manager.close()


def test_the_pages_say_it_at_the_field(tmp_path: Path) -> None:
    web = make_web(tmp_path)
    for folder in ("corpora/qq", "models/base/qq"):
        (web.studio.workspace.root / folder).mkdir(parents=True)
    body = {"name": "QQ", "sources": [{"root": "workspace", "path": ""}]}
    answer = web.request("POST", "/api/corpora", json=body)
    assert answer.status_code == 422 and SAME in answer.json["fields"]["name"][0]
    web.studio.news.close()
    web.studio.manager.close()


def test_a_download_takes_the_longer_name(tmp_path: Path) -> None:
    (tmp_path / "qq").mkdir()
    assert target_folder(tmp_path, "owner/QQ", "0" * 40) == tmp_path / "owner--QQ"


def test_letters_that_are_put_in_two_ways_are_one(tmp_path: Path) -> None:
    (tmp_path / "Caf\u00e9").mkdir()
    for name in ("Cafe\u0301", "CAF\u00c9", "cafe\u0301"):
        with pytest.raises(UserError, match="same folder"):
            check_new_name(tmp_path / name, "corpus")
    check_new_name(tmp_path / "Cafe", "corpus")


@pytest.mark.skipif(sys.platform == "darwin", reason="there cannot be both on this file system")
def test_a_pair_that_is_there_goes_on(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.make(tmp_path / "suites")
    for name in ("qq", "QQ"):
        (folder / f"{name}.json").write_text('{"prompts": ["a"]}')
    for name in ("qq", "QQ"):
        write_suite(workspace, name, Suite(prompts=(name,)))
    assert [read_suite(workspace, name).prompts for name in ("qq", "QQ")] == [("qq",), ("QQ",)]


def test_the_pages_have_the_same_rule() -> None:
    pages = PAGES.read_text(encoding="utf-8")
    assert f"/^{NAME_PATTERN.pattern}$/" in pages
    with pytest.raises(UserError) as caught:
        check_name("a b", "run")
    assert caught.value.message.partition("use ")[2] in pages
