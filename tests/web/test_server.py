"""The real server: starting, ending, being killed, being two."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import websocket

from tests.web.server_process import (
    PATIENCE,
    PROGRAM,
    RunningServer,
    free_port,
    running_server,
    wait_for,
)

pytestmark = pytest.mark.slow


def start_and_fail(*options: str, env: dict[str, str] | None = None) -> str:
    """Start a server that has to refuse; returns what it said."""
    completed = subprocess.run(
        [sys.executable, str(PROGRAM), "--no-browser", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=env,
    )
    assert completed.returncode in (1, 2), completed.stderr
    assert "Traceback" not in completed.stderr
    return completed.stderr


def test_the_browser_comes_in_by_the_file_and_only_once_with_its_code(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        private = tmp_path / ".cpt-studio"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        for name in ("token", "open.html", "server.log"):
            assert stat.S_IMODE((private / name).stat().st_mode) == 0o600, name
        first = (private / "open.html").read_text()
        token = (private / "token").read_text().strip()
        assert token not in first and token not in server.text
        cookie = server.sign_in()
        assert (private / "open.html").read_text() != first
        assert server.api(cookie, "GET", "/api/session").status == 200
        wait_for(lambda: "to sign in, open file://" in server.text, "the greeting")
        assert server.origin in server.text
    assert not (private / "open.html").exists()
    assert token not in (private / "server.log").read_text()


def test_start_creates_nothing_but_the_private_folder(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        cookie = server.sign_in()
        for path in ("/", "/api/session", "/api/openapi.json"):
            assert server.api(cookie, "GET", path).status == 200
    assert [entry.name for entry in tmp_path.iterdir()] == [".cpt-studio"]


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_frees_lock_and_port(tmp_path: Path, with_signal: int) -> None:
    if signal.getsignal(with_signal) == signal.SIG_IGN:
        pytest.skip("under nohup or in the background of a shell the signal is ignored on purpose")
    port = free_port()
    with running_server(tmp_path, port=port) as server:
        worker = server.workers()[0]
        assert server.stop(with_signal) == 0
        psutil.wait_procs([worker], timeout=PATIENCE)
        assert not worker.is_running()
        assert "Traceback" not in server.text
    with running_server(tmp_path, port=port) as again:
        assert again.port == port


def test_open_sockets_do_not_hold_up_the_end_and_a_request_under_way_is_answered(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path) as server:
        cookie = server.sign_in()
        assert server.api(cookie, "GET", "/api/session").status == 200
        live = websocket.create_connection(
            f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket",
            timeout=PATIENCE,
            header=cookie.headers,
            origin=server.origin,
        )
        assert live.recv()
        head = (
            f"POST /api/uploads?name=a.txt HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Origin: {server.origin}\r\n{cookie.lines}Content-Length: 100000\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as upload:
            upload.sendall(head.encode() + b"12345" * 10_000)
            uploads = tmp_path / ".cpt-studio"
            wait_for(lambda: [*uploads.rglob("*upload*/*")], "the upload's begin")
            server.process.terminate()
            wait_for(lambda: "ending" in server_lock_of(tmp_path), "the end's begin")
            upload.sendall(b"67890" * 10_000)
            answer = upload.recv(65536)
        assert answer.startswith(b"HTTP/1.1 201 "), answer
        assert server.stop() == 0
        assert not (tmp_path / ".cpt-studio" / "open.html").exists()
        live.close()


def server_lock_of(workspace: Path) -> dict[str, object]:
    """What the lock says while the server ends; empty before."""
    text = (workspace / ".cpt-studio" / "server.lock").read_text()
    said = json.loads(text) if text else {}
    return said if said.get("ending") else {}


def test_killed_master_takes_its_worker_along_and_a_new_start_waits_for_both(
    tmp_path: Path,
) -> None:
    port = free_port()
    first = RunningServer(tmp_path, port)
    first.wait_until_up()
    cookie = first.sign_in()
    worker = first.workers()[0]
    first.process.kill()
    first.process.wait(PATIENCE)
    with running_server(tmp_path, port=port) as second:
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        # What a stranger could have got who had the port meanwhile opens nothing.
        assert second.api(cookie, "GET", "/api/session").status == 401


def test_killed_worker_comes_back(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        cookie = server.sign_in()
        worker = server.workers()[0]
        worker.kill()

        def back() -> bool:
            try:
                return server.api(cookie, "GET", "/api/session").status == 200
            except OSError:
                return False

        wait_for(back, "the new worker")
        assert server.workers()[0].pid != worker.pid
        server.sign_in()


def test_new_token_ends_all_sessions(tmp_path: Path) -> None:
    port = free_port()
    with running_server(tmp_path, port=port) as server:
        cookie = server.sign_in()
        key = server.api(cookie, "GET", "/api/session").json["key"]
    with running_server(tmp_path, port=port) as server:
        assert server.api(server.recover(cookie, key), "GET", "/api/session").status == 200
    with (
        running_server(tmp_path, "--new-token", port=port) as server,
        pytest.raises(AssertionError, match="cannot prove"),
    ):
        server.recover(cookie, key)


def test_second_server_of_a_workspace_says_who_serves_it(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        said = start_and_fail("-w", str(tmp_path), "--port", str(free_port()))
        assert f"process {server.process.pid} ({server.origin})" in said
        assert server.request("GET", "/").status == 200


def test_taken_port_is_told_when_it_was_asked_for(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = start_and_fail("-w", str(tmp_path), "--port", port)
    assert f"Port {port}" in said and "--port" in said


def test_next_port_is_taken_when_none_was_asked_for(tmp_path: Path) -> None:
    from cptstudio.web.options import ServerOptions
    from cptstudio.web.serve.listening import open_listener

    with (
        open_listener(ServerOptions(tmp_path)) as one,
        open_listener(ServerOptions(tmp_path)) as two,
    ):
        assert one.getsockname()[1] != two.getsockname()[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "Could not create" in start_and_fail("-w", str(tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_hostile_private_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / ".cpt-studio").symlink_to(elsewhere)
    assert "is a link" in start_and_fail("-w", str(workspace))
    (workspace / ".cpt-studio").unlink()
    (workspace / ".cpt-studio").write_text("")
    assert "is not a folder" in start_and_fail("-w", str(workspace))
    assert list(elsewhere.iterdir()) == []


def test_missing_workspace(tmp_path: Path) -> None:
    assert "--demo" in start_and_fail("-w", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--allow-host"),
        (["--host", "0.0.0.0", "--allow-host", "studio.lan"], "--insecure-http"),
        (["--host", "192.0.2.1", "--insecure-http"], "--allow-host"),
        (["--certfile", "nowhere.pem"], "--keyfile"),
        (["--allow-host", "http://studio.lan:80"], "is not a host name"),
        (["--public-url", "http://studio.lan/"], "https://NAME/"),
        (["--public-url", "https://studio.lan/path/"], "without a path"),
        (["--port", "70000"], "1 to 65535"),
    ],
)
def test_unsafe_or_senseless_options(tmp_path: Path, options: list[str], said: str) -> None:
    assert said in start_and_fail("-w", str(tmp_path), *options)
    assert not (tmp_path / ".cpt-studio").exists()


def test_help_teaches() -> None:
    completed = subprocess.run(
        [sys.executable, str(PROGRAM), "--help"], capture_output=True, text=True, check=True
    )
    for option in (
        *("--workspace", "--host", "--port", "--no-detect", "--no-browser", "--demo"),
        *("--log-level", "--allow-host", "--certfile", "--keyfile", "--insecure-http"),
        *("--new-token", "examples:"),
    ):
        assert option in completed.stdout


def test_other_machines_come_in_under_the_allowed_name_alone(tmp_path: Path) -> None:
    options = ("--host", "0.0.0.0", "--allow-host", "studio.lan", "--insecure-http")
    with running_server(tmp_path, *options) as server:
        named = {"Host": f"studio.lan:{server.port}"}
        assert server.request("GET", "/", headers=named).status == 200
        for name in ("studio.lan", f"other.lan:{server.port}", f"0.0.0.0:{server.port}"):
            assert server.request("GET", "/", headers={"Host": name}).status == 403
