"""A workspace with a really trained run to evaluate, its server, and helpers for its pages."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cptstudio.evaluation.reports import Reports
from cptstudio.workspace import Workspace
from tests.training import trainer_process
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare
from tests.web.server_process import RunningServer, running_server, wait_for
from tests.web.ui.conftest import signed_in

BASE, RUN, STEPS = "toy", "learned", 60
PROMPTS = ("def ", "import ")
MIDDLE, LAST = f"{RUN}@step-{STEPS // 2:08d}", f"{RUN}@step-{STEPS:08d}"
MODELS = (BASE, MIDDLE, LAST)
CORPORA = (DOMAIN, GENERAL)


def make_lab_workspace(root: Path) -> Workspace:
    """A base model, two corpora, and a run with two checkpoints and samples."""
    workspace = make_workspace(root)
    directory = prepare(
        workspace,
        RUN,
        length=f"{STEPS} steps",
        evaluation={"every": f"{STEPS // 2} steps", "max_tokens": 300, "prompts": list(PROMPTS)},
        checkpoints={"every": f"{STEPS // 2} steps"},
    )
    status, said = trainer_process.run(directory)
    assert status == 0, said
    return workspace


@dataclass
class Lab:
    """The server of such a workspace.

    Attributes:
        faults: what scripts and the security policy complained of, on all pages.
    """

    workspace: Workspace
    server: RunningServer
    browser: Browser
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A signed-in page without any fault."""
        context = signed_in(
            self.browser, self.server, base_url=self.server.origin, accept_downloads=True
        )
        opened = context.new_page()
        opened.on("pageerror", lambda error: self.faults.append(str(error)))
        opened.on("console", lambda message: self._note(message.text))
        yield opened
        context.close()
        assert not self.faults

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)

    def reports(self, kind: str) -> list[dict[str, Any]]:
        """The kept reports of a kind, whole, the newest first."""
        kept = Reports(self.workspace)
        return [kept.read(one["id"]) for one in kept.list(kind)]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server as a page would."""
        answer = self.server.api(self.server.sign_in(), method, path, body)
        assert answer.status < 300, answer.body
        return answer.json

    def process(self, module: str) -> psutil.Process:
        """The program of a job, as soon as there is one."""

        def found() -> psutil.Process | None:
            family = psutil.Process(self.server.process.pid).children(recursive=True)
            return next((one for one in family if module in _words(one)), None)

        process: psutil.Process = wait_for(found, f"the process of {module}")
        return process

    def kill(self, module: str) -> None:
        """Kill -9 the program of a job."""
        self.process(module).send_signal(signal.SIGKILL)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


_made: list[Workspace] = []


@contextmanager
def lab_of(folders: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A lab of one module; the workspace is made once in a process, because it takes training.

    What a module measured is no other's: which of them share a process depends on the distribution.
    """
    if not _made:
        _made.append(make_lab_workspace(folders.mktemp("evaluation") / "workspace"))
    with running_server(_made[0].root, "--no-detect") as server:
        yield Lab(_made[0], server, browser)
    shutil.rmtree(_made[0].root / "reports", ignore_errors=True)


def choose_models(page: Page) -> None:
    """The base and both checkpoints, in this order."""
    for name in (BASE, f"Step {STEPS // 2}", f"Step {STEPS}"):
        page.get_by_role("checkbox", name=name, exact=True).check()
    chosen = page.get_by_role("list", name="Selected models")
    expect(chosen.get_by_role("listitem")).to_have_count(len(MODELS))


def choose_corpora(page: Page) -> None:
    for name in CORPORA:
        page.get_by_role("checkbox", name=name, exact=True).check()


def start(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_breaks_off(
    page: Page, jobs: Locator, begin: Callable[[], None], kill: Callable[[], None]
) -> None:
    """A job that is killed says so, and its sentence can be put away."""
    begin()
    kill()
    expect(jobs).to_contain_text("ended from outside")
    expect(jobs).to_contain_text("Failed")
    jobs.get_by_role("button", name="Close").click()
    expect(jobs).to_have_count(0)
