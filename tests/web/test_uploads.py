"""Uploads: any name, bounded size, gone when used or old, nothing left of what broke off."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from cptstudio.errors import UserError
from cptstudio.web.files.uploads import KEPT_SECONDS, Uploads, clean_name
from cptstudio.web.problems import NotFound
from cptstudio.workspace import Workspace
from tests.web.in_process import Web
from tests.web.server_process import running_server, wait_for

OCTETS = {"Content-Type": "application/octet-stream"}
HOSTILE = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\system32",
    "a/../../b.txt",
    "<img src=x onerror=alert(1)>.txt",
    "line\nbreak\r.txt",
    "nul\0byte.txt",
    "\u202egnp.exe",
    "x" * 4000 + ".txt",
    "-rf",
    "~/.ssh/id_rsa",
    ".htaccess",
    "con.txt",
    "name.txt.\U0001f600",
    "a/" * 1000 + "b.txt",
]


def send(web: Web, name: str, data: bytes, **arguments: Any) -> Any:
    return web.request(
        "POST",
        "/api/uploads",
        query_string={"name": name, "include": "secrets,generated,hidden"},
        data=data,
        headers=OCTETS,
        **arguments,
    )


def folder_of(web: Web) -> Path:
    return web.studio.workspace.private / "uploads"


def test_an_upload_is_kept_under_a_name_of_ours(web: Web) -> None:
    answer = send(web, "notes/My file.tar.GZ", b"content")
    assert answer.status_code == 201, answer.text
    upload = answer.json
    assert (upload["name"], upload["bytes"]) == ("notes/My file.tar.GZ", 7)
    names = sorted(path.name for path in folder_of(web).iterdir())
    assert names == [f"{upload['id']}.content.tar.gz", f"{upload['id']}.json"]
    for path in folder_of(web).iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert [one["id"] for one in web.get("/api/uploads")["uploads"]] == [upload["id"]]
    assert [one["id"] for one in web.get("/api/uploads", purpose="corpus")["uploads"]] == [
        upload["id"]
    ]
    assert web.get("/api/uploads", purpose="text")["uploads"] == []
    assert web.request("DELETE", f"/api/uploads/{upload['id']}").status_code == 200
    assert web.request("DELETE", "/api/trash", json={"confirmed": True}).status_code == 204
    assert not list(folder_of(web).iterdir())
    assert web.request("DELETE", f"/api/uploads/{upload['id']}").status_code == 404


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(web: Web, name: str) -> None:
    # The first thing that is written notes the workspace's format, too.
    web.studio.workspace.make(web.studio.workspace.private)
    before = set(web.studio.workspace.root.rglob("*"))
    answer = send(web, name, b"x")
    assert answer.status_code == 201, answer.text
    shown = answer.json["name"]
    assert ".." not in shown.split("/")
    assert not shown.startswith("/")
    assert len(shown) <= 16 * 201
    assert not any(ord(character) < 32 or character == "\u202e" for character in shown)
    new = set(web.studio.workspace.root.rglob("*")) - before - {folder_of(web)}
    assert {path.parent for path in new} == {folder_of(web)}
    assert {path.name.partition(".")[0] for path in new} == {answer.json["id"]}


@pytest.mark.parametrize("name", ["", "..", "/", "./.", " / "])
def test_a_name_that_is_none_is_refused(web: Web, name: str) -> None:
    assert send(web, name, b"x").status_code == 422


@pytest.mark.parametrize("upload_id", ["u" + "0" * 16, "..", "x", "u" + "0" * 16 + ".json"])
def test_ids_are_those_of_the_server(web: Web, upload_id: str) -> None:
    with pytest.raises(NotFound):
        web.studio.uploads.get(upload_id)


def test_too_large_files_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    uploads = Uploads(Workspace(tmp_path), limit_bytes=10)
    with pytest.raises(UserError, match="larger") as announced:
        uploads.add("a", 11, io.BytesIO(b"x" * 11).read)
    assert announced.value.status == 413  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="larger"):
        uploads.add("a", None, io.BytesIO(b"x" * 11).read)
    with pytest.raises(UserError, match="broke off"):
        uploads.add("a", 9, io.BytesIO(b"x" * 8).read)
    assert not list((tmp_path / ".cpt-studio" / "uploads").iterdir())
    assert uploads.add("a", 10, io.BytesIO(b"x" * 10).read).bytes == 10


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    def read(_: int) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="The disk is full"):
        Uploads(Workspace(tmp_path)).add("a.txt", None, read)
    assert not list((tmp_path / ".cpt-studio" / "uploads").iterdir())


def test_a_body_past_the_limit_is_refused_over_http(web: Web) -> None:
    web.studio.uploads.limit_bytes = 1000
    assert send(web, "a", b"x" * 1001).status_code == 413
    assert send(web, "a", b"x" * 1000).status_code == 201


def test_old_uploads_are_swept_only_when_asked(tmp_path: Path) -> None:
    uploads = Uploads(Workspace(tmp_path))
    old, used, new = (uploads.add(name, 1, io.BytesIO(b"x").read) for name in "abc")
    folder = tmp_path / ".cpt-studio" / "uploads"
    past = time.time() - KEPT_SECONDS - 60
    for upload in (old, used):
        path = folder / f"{upload.id}.json"
        aged = upload.model_copy(update={"created": past})
        path.write_text(aged.model_dump_json())
    assert len(Uploads(Workspace(tmp_path)).all()) == 3
    uploads.sweep(in_use=[used.id])
    assert {one.id for one in uploads.all()} == {used.id, new.id}


def test_damaged_records_are_passed_over(tmp_path: Path) -> None:
    uploads = Uploads(Workspace(tmp_path))
    upload = uploads.add("a.txt", 1, io.BytesIO(b"x").read)
    folder = tmp_path / ".cpt-studio" / "uploads"
    (folder / f"{upload.id}.json").write_text("{")
    (folder / "u0000000000000000.json").symlink_to("/etc/hostname")
    assert uploads.all() == []
    with pytest.raises(NotFound):
        uploads.get(upload.id)


def test_names_keep_their_folders_and_endings() -> None:
    assert clean_name("corpus/2024/a.txt") == "corpus/2024/a.txt"
    assert clean_name("C:\\docs\\a.txt") == "C:/docs/a.txt"


@pytest.mark.slow
def test_what_a_killed_server_had_taken_of_an_upload_is_gone_at_its_next_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / ".cpt-studio" / "uploads"
    with running_server(tmp_path) as server:
        cookie = server.sign_in()
        kept = server.request(
            "POST",
            "/api/uploads?name=kept.txt",
            b"kept",
            {**cookie.headers, "Origin": server.origin, **OCTETS},
        ).json
        head = (
            f"POST /api/uploads?name=large.bin HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"{cookie.lines}Origin: {server.origin}\r\n"
            f"Content-Type: {OCTETS['Content-Type']}\r\nContent-Length: 9000000\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b"x" * 4_000_000)
            wait_for(lambda: len(list(folder.iterdir())) == 3, "the staged file")
            workers = server.workers()
            server.process.kill()
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
    (folder / "u0123456789abcdef.content.txt").write_text("renamed, but never written down")
    with running_server(tmp_path) as server:
        listed = server.api(server.sign_in(), "GET", "/api/uploads").json["uploads"]
        assert [one["id"] for one in listed] == [kept["id"]]
        assert sorted(path.name for path in folder.iterdir()) == [
            f"{kept['id']}.content.txt",
            f"{kept['id']}.json",
        ]
