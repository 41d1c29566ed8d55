"""A workspace with a really trained run, its server, and the playground in a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cptstudio.workspace import Workspace
from tests.training import trainer_process
from tests.training.small_workspace import make_workspace, prepare
from tests.web.server_process import PATIENCE, RunningServer, SignedIn, free_port, wait_for
from tests.web.ui.browsers import come_in
from tests.web.ui.conftest import signed_in

RUN, STEPS = "learned", 40
BASE, CHAT_BASE = "toy", "toy-chat"
MIDDLE, LAST = f"{RUN}@step-{STEPS // 2:08d}", f"{RUN}@step-{STEPS:08d}"
PROMPT = "def read_lines(path):\n    "
_TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def make_lab_workspace(root: Path, trained: bool = True) -> Workspace:
    """Two base models, one with a chat template, and, trained, a run with two checkpoints."""
    workspace = make_workspace(root)
    chat = workspace.base_model(CHAT_BASE)
    shutil.copytree(workspace.base_model(BASE), chat)
    settings = json.loads((chat / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] = _TEMPLATE
    (chat / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if not trained:
        return workspace
    directory = prepare(
        workspace,
        RUN,
        length=f"{STEPS} steps",
        evaluation={"every": f"{STEPS // 2} steps", "max_tokens": 300},
        checkpoints={"every": f"{STEPS // 2} steps"},
    )
    status, said = trainer_process.finish(trainer_process.start(directory))
    assert status == 0, said
    return workspace


@dataclass
class Lab:
    """The server of such a workspace, and a signed-in browser."""

    workspace: Workspace
    browser: Browser
    port: int
    server: RunningServer
    context: BrowserContext
    cookie: SignedIn
    faults: list[str] = field(default_factory=list)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.server.api(self.cookie, method, path, body)
        assert answer.status < 300, answer.body
        return answer.json

    def finished(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task with all its pieces, at its end."""

        def ended() -> dict[str, Any] | None:
            now = self.api("GET", f"/api/inference/tasks/{task['id']}?after=0&wait=10")
            return now if now["state"] != "running" else None

        found: dict[str, Any] = wait_for(ended, "the end of a task")
        return found

    def load(self, *references: str) -> None:
        """The models are in memory, without the page's help."""
        there = [model["label"] for model in self.api("GET", "/api/inference")["models"]]
        if set(there) != set(references):
            task = self.api(
                "POST", "/api/inference/load", {"references": references, "keep": False}
            )
            assert self.finished(task)["state"] == "done"

    def complete(self, label: str, prompt: dict[str, Any], **sampling: Any) -> list[dict[str, Any]]:
        """The pieces of one text, asked by itself."""
        ask = {"labels": [label], "prompts": [prompt], "sampling": sampling, "remember": False}
        pieces: list[dict[str, Any]] = self.finished(
            self.api("POST", "/api/inference/complete", ask)
        )["pieces"]
        return pieces

    def open(self, *references: str, **query: Any) -> Page:
        """The playground with models and settings."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._note(message.text))
        models = {"models": ",".join(references)} if references else {}
        # What is compared with a text asked by itself is the likeliest one.
        likeliest = {"temperature": 0, "top_p": 0, "repetition_penalty": 1}
        page.goto("/playground?" + urlencode(models | likeliest | query))
        expect(page.get_by_role("heading", name="Playground", level=1)).to_be_visible()
        return page

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)

    def start_again(self) -> None:
        """Kill -9 the server, master and worker, and start it again."""
        family = [*self.server.workers(), psutil.Process(self.server.process.pid)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=PATIENCE)
        self.server.process.wait(PATIENCE)
        self.server = RunningServer(self.workspace.root, self.port, "--no-detect")
        self.server.wait_until_up()
        self.cookie = self.server.sign_in()
        come_in(self.context, self.server).close()


@contextmanager
def running_lab(root: Path, browser: Browser, trained: bool = True) -> Iterator[Lab]:
    """The lab; everything it started is gone with the block."""
    workspace = make_lab_workspace(root / "workspace", trained)
    port = free_port()
    server = RunningServer(workspace.root, port, "--no-detect")
    server.wait_until_up()
    context = signed_in(browser, server, base_url=server.origin, accept_downloads=True)
    lab = Lab(workspace, browser, port, server, context, server.sign_in())
    try:
        yield lab
    finally:
        context.close()
        lab.server.stop()
    assert lab.faults == []


def card(page: Page, name: str) -> Any:
    """The text of a model."""
    return page.get_by_role("article", name=name, exact=True)


def text_of(page: Page, name: str) -> str:
    """The words of a text, without its prompt."""
    lane = card(page, name).get_by_role("group", name=f"Output of {name.partition(', seed')[0]}")
    return str(lane.evaluate("lane => lane.textContent"))


def expect_ended(page: Page) -> None:
    """Every text has ended, and there is one."""
    expect(page.get_by_role("article").first).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    expect(page.get_by_text("Generating", exact=True)).to_have_count(0)


def generate(page: Page) -> None:
    """Ask, and wait for the end."""
    page.get_by_role("button", name="Generate", exact=True).click()
    expect_ended(page)
