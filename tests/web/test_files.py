"""The file browser and the allowed folders: nothing outside of them, whatever is asked."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.web.files import confined
from cptstudio.web.files.allowed_folders import AllowedFolders
from cptstudio.workspace import Workspace
from tests.web.in_process import Web, make_web


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with files, hidden ones, links that lead out, a FIFO; and a secret beside it."""
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "b.txt").write_text("b")
    (root / "A.md").write_text("aa")
    (root / ".hidden").write_text("token")
    (root / "sub" / "inner.txt").write_text("inner")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "sub" / "file-link").symlink_to(tmp_path / "secret" / "key.txt")
    os.mkfifo(root / "pipe")
    # Some file systems refuse names that are no text.
    with (
        contextlib.suppress(OSError),
        open(os.path.join(os.fsencode(root), b"not-utf8-\xff"), "w"),
    ):
        pass
    return root


def test_a_folder_is_listed_without_what_is_hidden_or_leads_elsewhere(tree: Path) -> None:
    listing = confined.listing(tree, "")
    assert [(entry.name, entry.kind, entry.bytes) for entry in listing.entries] == [
        ("sub", "folder", None),
        ("A.md", "file", 2),
        ("b.txt", "file", 1),
    ]
    assert not listing.truncated
    assert listing.left_out == len(os.listdir(tree)) - 3
    assert [entry.name for entry in confined.listing(tree, "sub").entries] == ["deep", "inner.txt"]
    assert confined.locate(tree, "sub/inner.txt") == tree / "sub" / "inner.txt"


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../secret",
        "sub/../../secret",
        "/etc",
        "//etc",
        "sub//deep",
        "sub/",
        ".hidden",
        "./sub",
        "out",
        "out/key.txt",
        "sub/file-link",
        "pipe",
        "sub/inner.txt/more",
        "nothing",
        "a\0b",
        "x" * 300,
        "d/" * 100 + "d",
        "sub\\..\\..",
        "%2e%2e/secret",
    ],
)
def test_no_path_leads_out(tree: Path, path: str) -> None:
    with pytest.raises(UserError):
        confined.locate(tree, path)
    with pytest.raises(UserError):
        confined.listing(tree, path)


def test_a_folder_swapped_for_a_link_again_and_again_never_leads_out(tree: Path) -> None:
    """The race that a check before the use would lose."""
    inside, outside = tree / "sub", tree.parent / "secret"
    aside = tree.parent / "aside"
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            inside.rename(aside)
            inside.symlink_to(outside)
            inside.unlink()
            aside.rename(inside)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(tuple(entry.name for entry in confined.listing(tree, "sub").entries))
            except UserError:
                seen.add(("refused",))
    finally:
        ended.set()
        swapper.join()
    assert seen <= {("deep", "inner.txt"), ("refused",)}


def test_huge_folders_are_shown_in_part(tree: Path) -> None:
    for number in range(2100):
        (tree / "sub" / "deep" / f"{number:05}").touch()
    listing = confined.listing(tree, "sub/deep")
    assert len(listing.entries) == 2000
    assert listing.truncated


def test_roots_are_added_by_confirmation_and_kept(tmp_path: Path, tree: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    web = make_web(workspace)
    body = {"path": str(tree)}
    refused = web.request("POST", "/api/roots", json=body)
    assert refused.status_code == 422
    assert "Confirm" in refused.json["detail"]
    added = web.post("/api/roots", body | {"confirmed": True}, 201)
    assert added["path"] == str(tree)
    assert web.post("/api/roots", body | {"confirmed": True}, 201)["id"] == added["id"]
    roots = make_web(workspace).get("/api/files")["roots"]
    assert [root["id"] for root in roots] == ["workspace", added["id"]]
    answer = web.request("GET", f"/api/files?root={added['id']}&path=sub").json
    assert [entry["name"] for entry in answer["entries"]] == ["deep", "inner.txt"]
    assert web.request("DELETE", f"/api/roots/{added['id']}").status_code == 200
    assert web.request("GET", f"/api/files?root={added['id']}").status_code == 404
    assert web.request("DELETE", "/api/roots/workspace").status_code == 422
    assert tree.is_dir()
    web.studio.manager.close()


@pytest.mark.parametrize("path", ["relative", "/nowhere/at/all", "/etc/hostname", "/a\0b", "~x/y"])
def test_what_is_no_folder_is_no_root(web: Web, path: str) -> None:
    answer = web.request("POST", "/api/roots", json={"path": path, "confirmed": True})
    assert answer.status_code == 422
    assert [root["id"] for root in web.get("/api/files")["roots"]] == ["workspace"]


def test_the_studios_own_folder_is_never_shown(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.private / "runs").mkdir(parents=True)
    places = AllowedFolders(workspace)
    for folder in (workspace.private, workspace.private / "runs"):
        with pytest.raises(UserError, match="token"):
            places.add_root(str(folder))
    link = tmp_path / "link"
    link.symlink_to(workspace.private)
    with pytest.raises(UserError, match="token"):
        places.add_root(str(link))
    names = [entry.name for entry in confined.listing(places.root("workspace").path, "").entries]
    assert names == []


def test_usual_folders_are_suggested_until_they_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "Documents").mkdir(parents=True)
    (home / "Desktop").symlink_to(home / "Documents")
    (home / "Downloads").write_text("no folder")
    monkeypatch.setenv("HOME", str(home))
    web = make_web(tmp_path / "w")
    assert web.get("/api/files")["suggestions"] == [str(home), str(home / "Documents")]
    web.post("/api/roots", {"path": str(home / "Documents"), "confirmed": True}, 201)
    assert web.get("/api/files")["suggestions"] == [str(home)]
    monkeypatch.setenv("HOME", "nowhere")
    assert web.get("/api/files")["suggestions"] == []


def test_roots_from_the_command_line(tmp_path: Path, tree: Path) -> None:
    places = AllowedFolders(Workspace(tmp_path / "w"), [tree])
    [_, given] = places.roots()
    assert (given.path, given.removable) == (tree, False)
    assert places.add_root(str(tree)).id == given.id
    assert len(places.roots()) == 2
