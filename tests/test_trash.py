"""The trash: all or nothing, at whatever moment a server is killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cptstudio.trash import NotInTrashError, Restorer, TakenNameError, Trash
from cptstudio.workspace import Workspace
from tests.web.server_process import wait_for

FILES = {"a/deep/one": "1", "a/two": "2", "b": "3"}


def fill(root: Path) -> list[Path]:
    """A thing of two parts, a folder and a file."""
    for name, text in FILES.items():
        path = root / "things" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [root / "things" / "a", root / "things" / "b"]


def content(root: Path) -> dict[str, str]:
    things, found = root / "things", {}
    # Walked by os, which bears that a folder is deleted meanwhile.
    for folder, _, names in os.walk(things):
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                found[str(path.relative_to(things))] = path.read_text()
    return found


def notes(root: Path) -> list[str]:
    folder = root / ".cpt-studio" / "trash"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_what_was_deleted_comes_back_whole(tmp_path: Path) -> None:
    trash, told = Trash(Workspace(tmp_path)), []
    trash.restores("thing", Restorer(told.append))
    id = trash.put("thing", "it", fill(tmp_path), {"tags": ["x"]})
    assert id is not None
    assert not (tmp_path / "things" / "a").exists()
    assert not (tmp_path / "things" / "b").exists()
    ((thing, seconds),) = trash.things()
    assert (thing.kind, thing.name) == ("thing", "it")
    assert 0 < seconds <= trash.seconds == 60
    assert trash.size() == trash.size(id) == 3
    assert trash.restore(id).id == id
    assert content(tmp_path) == FILES
    assert told == [{"tags": ["x"]}]
    assert notes(tmp_path) == []
    with pytest.raises(NotInTrashError):
        trash.restore(id)


def test_after_its_time_it_is_gone_for_good(tmp_path: Path) -> None:
    trash = Trash(Workspace(tmp_path), seconds=0.0)
    id = trash.put("thing", "it", fill(tmp_path))
    assert id is not None
    wait_for(lambda: content(tmp_path) == {} and notes(tmp_path) == [], "its end")
    wait_for(lambda: trash._thread is None, "an idle trash")
    with pytest.raises(NotInTrashError, match="permanently deleted"):
        trash.restore(id)
    assert trash.size() == 0


def test_emptying_deletes_at_once_and_nothing_else(tmp_path: Path) -> None:
    trash = Trash(Workspace(tmp_path))
    trash.put("thing", "it", fill(tmp_path)[:1])
    trash.empty()
    assert content(tmp_path) == {"b": "3"}
    assert trash.things() == []


def test_another_one_of_the_name_is_not_overwritten(tmp_path: Path) -> None:
    trash = Trash(Workspace(tmp_path))
    id = trash.put("thing", "it", fill(tmp_path))
    assert id is not None
    (tmp_path / "things" / "b").write_text("another")
    with pytest.raises(TakenNameError, match="another thing 'it'"):
        trash.restore(id)
    assert content(tmp_path) | {"b": "another"} == content(tmp_path)
    (tmp_path / "things" / "b").rename(tmp_path / "things" / "B")
    with pytest.raises(Exception, match="on a Mac"):
        trash.restore(id)
    (tmp_path / "things" / "B").unlink()
    trash.restore(id)
    assert content(tmp_path) == FILES


def test_it_moves_what_lies_behind_a_link_to_another_disk(tmp_path: Path) -> None:
    """As a folder of models does that is too large for the workspace's own disk."""
    other = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    place = other / f"trash-{os.getpid()}"
    place.mkdir()
    try:
        (tmp_path / "things").symlink_to(place)
        trash = Trash(Workspace(tmp_path))
        id = trash.put("thing", "it", fill(tmp_path))
        assert id is not None
        assert not (place / "a").exists()
        trash.restore(id)
        assert (place / "a" / "two").read_text() == "2"
    finally:
        subprocess.run(["rm", "-r", str(place)], check=True)


def test_the_next_server_deletes_what_the_last_one_kept(tmp_path: Path) -> None:
    Trash(Workspace(tmp_path)).put("thing", "it", fill(tmp_path))
    Trash(Workspace(tmp_path)).clear_former()
    wait_for(lambda: content(tmp_path) == {} and notes(tmp_path) == [], "its end")


@pytest.mark.parametrize(
    "moves",
    [[["../out", "../.out.trash-t1"]], [["things/a", "things/b"]], [["/etc", "/.etc.trash-t1"]]],
)
def test_a_note_that_is_not_ours_deletes_nothing(tmp_path: Path, moves: list[list[str]]) -> None:
    fill(tmp_path)
    folder = tmp_path / ".cpt-studio" / "trash"
    folder.mkdir(parents=True)
    value = {"kind": "thing", "name": "it", "deleted": 1.0, "moves": moves, "memory": {}}
    (folder / "t1.kept.json").write_text(str(value).replace("'", '"'))
    (folder / "t2.kept.json").write_text("{")
    trash = Trash(Workspace(tmp_path))
    trash.clear_former()
    assert content(tmp_path) == FILES
    assert notes(tmp_path) == ["t1.kept.json", "t2.kept.json"]


_RESTLESS = """
import sys
from pathlib import Path
from cptstudio.trash import Trash
from cptstudio.workspace import Workspace
root = Path(sys.argv[1])
trash = Trash(Workspace(root))
paths = [root / "things" / "a", root / "things" / "b"]
print("ready", flush=True)
while True:
    trash.restore(trash.put("thing", "it", paths, {"n": 1}))
"""


def test_killed_at_any_moment_it_is_there_whole_or_gone_whole(tmp_path: Path) -> None:
    dice = random.Random(7)
    fates = set()
    for number in range(6):
        root = tmp_path / str(number)
        fill(root)
        child = subprocess.Popen(
            [sys.executable, "-c", _RESTLESS, str(root)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        # The moment is chance, which is what is tried here; nothing depends on its length.
        threading.Event().wait(dice.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        trash = Trash(Workspace(root))
        trash.clear_former()
        wait_for(lambda at=root: notes(at) == [], "what the child left")
        found = content(root)
        assert found in (FILES, {}), found
        fates.add(bool(found))
    assert fates, "it was killed"
