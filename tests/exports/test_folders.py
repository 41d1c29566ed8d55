"""The folder of an export is whole or not there, whatever ends its making."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.exports.folders import new_folder
from cptstudio.exports.sources import original_of
from cptstudio.models.library import ModelLibrary
from cptstudio.workspace import Workspace


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), UserError("no"), OSError(28, "full")])
def test_what_ends_early_leaves_nothing(tmp_path: Path, ending: BaseException) -> None:
    place = Workspace(tmp_path)
    with pytest.raises((type(ending), UserError)), new_folder(place, place.export("a")) as staged:
        (staged / "model.safetensors").write_bytes(b"half")
        raise ending
    assert list(place.exports.iterdir()) == []


def test_a_whole_one_gets_its_name_and_the_same_name_is_refused(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    with new_folder(place, place.export("a")) as staged:
        (staged / "export.json").write_bytes(b"{}")
    with pytest.raises(UserError, match="already"), new_folder(place, place.export("a")):
        pass
    same = pytest.raises(UserError, match="the same folder on a Mac")
    with same, new_folder(place, place.export("A")):
        pass
    assert [path.name for path in place.exports.iterdir()] == ["a"]


def test_what_a_killed_export_left_goes_with_the_next_one(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = durable.staging_path(place.make(place.exports) / "killed")
    left.mkdir()
    dead = left.rename(left.with_name(left.name.replace(str(os.getpid()), str(ended.pid))))
    alive = durable.staging_path(place.export("alive"))
    alive.mkdir()
    with new_folder(place, place.export("a")):
        assert not dead.exists()
        assert alive.exists()


def test_room_is_asked_for_before(tmp_path: Path) -> None:
    durable.check_room(tmp_path, 0, "The export")
    with pytest.raises(UserError, match=r"The export needs 1,?000000000\.3 GB of disk, and "):
        durable.check_room(tmp_path / "not" / "there", 10**18, "The export")


def test_the_original_of_a_packed_base_is_found_by_its_card(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    packed, original = place.base_model("packed"), place.base_model("someone--original")
    for folder, config in ((packed, '{"model_type": "llama", "quantization": {"bits": 4}}'),):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(config)
    library = ModelLibrary(place)
    assert original_of(packed, library) == (None, None)
    (packed / "README.md").write_text("---\nbase_model: someone/original\n---\nText.\n")
    assert original_of(packed, library) == ("someone/original", None)
    assert original_of(original.parent / "packed", library)[1] is None
