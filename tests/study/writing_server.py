"""A real endpoint that writes true texts of the passages that it gets, and can fall silent."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cptstudio.remote_endpoints.confirmed import EndpointChoices, confirm
from cptstudio.study import templates
from cptstudio.workspace import Workspace
from tests.remote_endpoints.odd_server import OddServer, odd_server, said


@contextmanager
def confirmed(
    server: WritingServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Run a server that this workspace may send texts to; its key is in WRITER_API_KEY."""
    monkeypatch.setenv("WRITER_API_KEY", server.key)
    with odd_server(server):
        choices = EndpointChoices(
            address=server.address, key="environment", variable="WRITER_API_KEY",
            price_in=1.0, price_out=10.0,
        )  # fmt: skip
        confirm(workspace, choices, f"127.0.0.1:{server.port}")
        yield


@dataclass
class WritingServer(OddServer):
    """Writes like the templates; the text number `silent_at` never comes.

    Attributes:
        silent: somebody waits for that text.
        texts: how many were written.
    """

    silent_at: int | None = None
    silent: threading.Event = field(default_factory=threading.Event)
    texts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def _do(self, to: socket.socket, model: str, count: int, body: dict[str, Any]) -> bool:
        if model != "writer":
            return super()._do(to, model, count, body)
        asked = body["messages"][-1]["content"]
        with self.lock:
            if self.silent_at is not None and self.texts >= self.silent_at:
                self.silent.set()
                silent = True
            else:
                self.texts += 1
                silent = False
        if silent:
            while to.recv(4096):
                pass
            return False
        return self.send_json(to, said(self.written(asked, body["seed"])))

    def written(self, asked: str, seed: int) -> str:
        """Return what the model called "writer" answers."""
        if "one a line" in asked and "at most 12" in asked:
            text = "- Marn\n- Zorbia\n- Atlantis"
        else:
            passage = asked.partition("Passage:\n")[2]
            wording = int(hashlib.sha256(asked.encode()).hexdigest()[:4], 16)
            text = templates.write("paraphrase", passage, wording, seed, ("", ""))
        return f"Sure! Here it is:\n\n{text}"
