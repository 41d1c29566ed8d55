"""Names and paths of a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.workspace import Workspace, check_name


@pytest.mark.parametrize("name", ["a", "run-1", "Qwen3-0.6B_4bit", "9", "x" * 64])
def test_plain_names_are_accepted(name: str) -> None:
    assert check_name(name, "run") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a b", "a\n", "é", "x" * 65, "a\0"]
)
def test_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not a valid run name"):
        check_name(name, "run")


def test_looking_at_a_workspace_creates_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new")
    assert workspace.run_names() == workspace.corpus_names() == workspace.base_model_names() == []
    assert workspace.run("first").parent == workspace.runs
    assert not workspace.root.exists()


def test_only_folders_with_proper_names_are_listed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for name in ("b", "a", ".hidden"):
        workspace.make(workspace.runs / name)
    (workspace.runs / "file").write_text("")
    (workspace.runs / "link").symlink_to(workspace.runs / "a")
    assert workspace.run_names() == ["a", "b"]
