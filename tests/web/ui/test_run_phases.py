"""What the page says of a living run is what its trainer does: through kills and restarts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import EVENTS, METRICS
from cptstudio.run_phases import PHASES, Phase, read_phase, title_of
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.training.small_workspace import small_settings
from tests.web.server_process import PATIENCE, free_port, running_server, wait_for
from tests.web.toy_workspace import make_toy_workspace
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
expect.set_options(timeout=PATIENCE * 1000)
RUN = "watched"
SETTINGS = small_settings(
    length="1000000 steps",
    evaluation={"every": "20 steps", "max_tokens": 4000},
    checkpoints={"every": "7 steps", "background": False},
)


class Watched:
    """The real trainer of a run, frozen in a phase by SIGSTOP so that it stays there."""

    def __init__(self, workspace: Workspace) -> None:
        self.directory = workspace.run(RUN)
        self.manager = TrainingManager(workspace)
        self.processes: list[psutil.Process] = []

    def trainer(self, but: int = 0) -> psutil.Process:
        """The trainer, once there is another than the former one."""

        def found() -> psutil.Process | None:
            with contextlib.suppress(Exception):
                pid = self.manager.run(RUN).trainer_pid
                if pid and pid != but:
                    return psutil.Process(pid)
            return None

        process: psutil.Process = wait_for(found, "the trainer")
        self.processes.append(process)
        return process

    def freeze(self, process: psutil.Process, wanted: Callable[[Phase], bool]) -> Phase:
        """Stop the process where it is in such a phase; it is let go where it was too quick."""

        def frozen() -> Phase | None:
            phase = read_phase(self.directory)
            if phase is None or phase.pid != process.pid or not wanted(phase):
                return None
            process.suspend()
            wait_for(lambda: process.status() == psutil.STATUS_STOPPED, "the freezing")
            phase = read_phase(self.directory)
            if phase is not None and wanted(phase):
                return phase
            process.resume()
            return None

        phase: Phase = wait_for(frozen, "a phase")
        return phase

    def last(self, name: str, **having: Any) -> dict[str, Any]:
        """The newest record of a file that has these values."""
        records = read_json_lines(self.directory / name).records
        return next(
            (
                one
                for one in reversed(records)
                if all(one.get(key) == value for key, value in having.items())
            ),
            {},
        )


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(make_toy_workspace(tmp_path / "workspace"))
    yield watched
    for process in watched.processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def says(page: Page, watched: Watched, phase: Phase) -> None:
    """Page, sidebar and command line say the phase; so does what the trainer wrote elsewhere."""
    title = title_of(phase)
    if phase.name != "training":
        expect(page.get_by_role("group", name="Phase").locator("strong")).to_have_text(title)
        expect(page.get_by_role("group", name="Status")).to_contain_text(title)
    told = watched.manager.run(RUN).phase
    assert told is not None and title_of(told) == title
    if phase.name not in ("starting", "stopping"):
        line = watched.last(PHASES)
        assert (line["phase"], line["step"]) == (phase.name, phase.step)
        assert watched.last(METRICS, kind="train").get("step", 0) >= phase.step


def test_what_the_page_says_is_what_the_trainer_does(browser: Browser, watched: Watched) -> None:
    root, port = watched.directory.parents[2], free_port()
    with running_server(root, "--no-detect", port=port) as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        session = server.sign_in()

        def ask(path: str, body: dict[str, Any]) -> None:
            answer = server.api(session, "POST", f"/api/runs{path}", body)
            assert answer.status in (200, 201), answer.body

        ask("", {"name": RUN, "settings": SETTINGS})
        first = watched.trainer()
        page.goto(f"/runs/{RUN}")
        baseline = watched.freeze(first, lambda phase: phase.name == "baseline")
        says(page, watched, baseline)
        assert watched.last(METRICS) == {}, "no row before the baseline is measured"
        way = page.get_by_role("list", name="Before the first step")
        expect(way.get_by_role("listitem")).to_contain_text(
            ["Checking files", "Loading the model", "Baseline evaluation", "Training"]
        )
        expect(page.locator("link[rel=icon]")).to_have_attribute("type", "image/png")
        assert_accessible_in_all(page)
        first.resume()
        expect(page).to_have_title(re.compile(rf"^\d+% {RUN} · "))
        evaluating = watched.freeze(first, lambda phase: phase.name == "evaluating")
        says(page, watched, evaluating)
        assert evaluating.number == evaluating.step // 20
        assert watched.last(METRICS, kind="evaluation", step=evaluating.step) == {}
        # Killed in an evaluation: no phase, and the next trainer does not inherit it.
        first.kill()
        expect(page.locator("header.run-head")).to_contain_text("Ended by the system")
        expect(page.get_by_role("group", name="Phase")).to_have_count(0)
        ask(f"/{RUN}/resume", {"confirmed": True})
        second = watched.trainer(but=first.pid)
        second.suspend()
        assert (read_phase(watched.directory) or evaluating).pid == first.pid, "it has told nothing"
        expect(page.get_by_role("group", name="Phase").locator("strong")).to_have_text(
            "Starting the trainer"
        )
        second.resume()
        saving = watched.freeze(second, lambda phase: phase.name == "saving")
        says(page, watched, saving)
        assert watched.last(EVENTS, event="checkpoint", session=1).get("step") != saving.step
        for worker in [*server.workers(), psutil.Process(server.process.pid)]:
            worker.kill()
        server.process.wait(PATIENCE)
        expect(page.get_by_text("Can't reach the CPT Studio server").first).to_be_visible()
    # It goes on without a server, and is frozen in another phase while nobody looks.
    second.resume()
    later = watched.freeze(second, lambda phase: phase.name == "evaluating")
    with running_server(root, "--no-detect", port=port) as server:
        says(page, watched, later)
        session = server.sign_in()
        assert server.api(session, "POST", f"/api/runs/{RUN}/stop", {}).status == 200
        stopping = page.get_by_role("group", name="Phase").locator("strong")
        expect(stopping).to_have_text("Stopping")
        os.kill(second.pid, signal.SIGCONT)
        head = page.locator("header.run-head")
        expect(head).to_contain_text(f"Stopped by you at step {later.step:,}; checkpoint saved.")
        expect(page.get_by_role("group", name="Phase")).to_have_count(0)
        context.close()
