"""A hub and a small model for all tests of models."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import pytest

from tests.models.fake_hub import FakeHub, running_hub


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A fake hub to which the environment points, for this process and its children."""
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", "/nonexistent/token")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        # The server takes files by HTTP alone.
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield running


@pytest.fixture(scope="session")
def model_files() -> dict[str, bytes]:
    """The files of the demo's base model, and some that no download should bring."""
    folder = resources.files("cptstudio") / "data" / "demo-base"
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return files | {
        "modeling_evil.py": b"import os; os.abort()",
        "pytorch_model.bin": b"\x80\x04pickle",
        "consolidated.safetensors": b"the same weights again",
        "onnx/model.onnx": b"other format",
        "README.md": b"# A model",
        ".gitattributes": b"*.safetensors filter=lfs",
    }
