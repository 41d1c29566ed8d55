"""Keys in the system's keyring, through the library's own interface."""

from __future__ import annotations

from pathlib import Path

import keyring
import keyring.backends.fail
import pytest

from cptstudio.errors import UserError
from cptstudio.remote_endpoints import keys
from cptstudio.remote_endpoints.confirmed import EndpointChoices, confirm
from cptstudio.workspace import Workspace
from tests.remote_endpoints.keyring_for_tests import FileKeyring
from tests.remote_endpoints.odd_server import odd_server


def test_a_key_in_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPT_STUDIO_TEST_KEYRING", str(tmp_path / "keyring.json"))
    choices = EndpointChoices(address="https://api.example.com/v1", key="keyring")
    endpoint = confirm(Workspace(tmp_path / "w"), choices, "api.example.com")
    former = keyring.get_keyring()
    try:
        keyring.set_keyring(keyring.backends.fail.Keyring())
        assert "no keyring that can be used" in (keys.why_no_keyring() or "")
        with pytest.raises(UserError, match="no keyring that can be used"):
            keys.keep_key(endpoint, "sk-1")
        assert not keys.forget_key(endpoint)
        keyring.set_keyring(FileKeyring())
        assert keys.why_no_keyring() is None
        with pytest.raises(UserError, match=r"has no key for api\.example\.com"):
            keys.key_of(endpoint)
        with pytest.raises(UserError, match="cannot be an API key") as told:
            keys.keep_key(endpoint, "two words")
        assert "two words" not in str(told.value)
        keys.keep_key(endpoint, " sk-kept \n")
        assert keys.key_of(endpoint) == "sk-kept"
        monkeypatch.setenv("CPT_STUDIO_TEST_KEYRING", str(tmp_path))
        with pytest.raises(UserError, match=r"refused to read the key of api\.example\.com"):
            keys.key_of(endpoint)
        monkeypatch.setenv("CPT_STUDIO_TEST_KEYRING", str(tmp_path / "keyring.json"))
        assert keys.forget_key(endpoint)
        assert not keys.forget_key(endpoint)
    finally:
        keyring.set_keyring(former)


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from cptstudio.cli import app
    from cptstudio.remote_endpoints.confirmed import find

    monkeypatch.setenv("CPT_STUDIO_TEST_KEYRING", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("CPT_STUDIO_WORKSPACE", str(tmp_path))
    former = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())
    try:
        ask = CliRunner().invoke
        add = ["remote", "add", "https://api.example.com/v1", "--price-in", "2"]
        assert "pass --yes to confirm" in str(ask(app, add).exception)
        assert "No endpoint was confirmed" in ask(app, ["remote", "list"]).output
        assert "Confirmed api.example.com" in ask(app, [*add, "--yes"]).output
        kept = ask(app, ["remote", "key", "api.example.com"], input="sk-secret-one\n")
        assert "has the key of api.example.com" in kept.output
        endpoint = find(Workspace(tmp_path), "api.example.com")
        assert (endpoint.key, endpoint.price_in) == ("keyring", 2)
        assert keys.key_of(endpoint) == "sk-secret-one"
        listed = ask(app, ["remote", "list"]).output
        assert "https://api.example.com/v1" in listed
        assert "sk-secret-one" not in listed + kept.output
        with odd_server() as server:
            host = f"127.0.0.1:{server.port}"
            ask(app, ["remote", "add", server.address, "--yes"])
            answered = ask(app, ["remote", "check", host, "sound"]).output
            assert answered == f"{host} answers: You said Answer with the one word: yes\n"
        removed = ask(app, ["remote", "remove", "api.example.com"]).output
        assert removed == "Removed api.example.com. Its key is no longer in the keyring.\n"
        assert keys.why_no_keyring() is None
        assert "sk-secret-one" not in (tmp_path / "keyring.json").read_text()
    finally:
        keyring.set_keyring(former)
