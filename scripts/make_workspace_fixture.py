"""Make tests/fixtures/workspace-of-before: a workspace of a former version, and what it printed.

    git worktree add ../before 0876419            # the commit of before, with its own .venv
    python -m scripts.make_workspace_fixture ../before/.venv/bin/cpt-studio

Everything in it was made by that program: runs of every method that were completed, stopped,
killed between two checkpoints, failed, resumed, forked, queued and deleted by hand; corpora;
reports; labels; an imported run. The archive is made first. What the program then says, measures
and trains on goes into the JSON file beside it, which tests/test_workspaces_of_before.py compares.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.toy_models import make_toy_model

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "tests" / "fixtures" / "workspace-of-before"
PATIENCE: Final = 300.0
MODEL: Final = "tiny"
SCORED: Final = "the river carries the old boat past the mill"
# Of this machine and of its users: none of a workspace's content.
LEFT_OUT: Final = ("token", "open.html", "keys", "server.log", "server.lock", "secrets")
SETTINGS: Final = """
model: {path: tiny}
data:
  corpora: [{name: river}, {name: market, role: replay}]
  replay_share: 0.25
  context_length: 32
length: 24 steps
seed: 7
optimizer: {learning_rate: 0.003}
batch: {rows: 2}
evaluation: {every: 8 steps, max_tokens: 600}
checkpoints: {every: 6 steps, keep_last: 2}
compute: {threads: 1}
"""
WORDS: Final = {
    "river": "the a old young boat river mill water stone bridge fish heron carries passes under "
    "over slowly quickly in of past near where green cold evening morning and then",
    "market": "buyers sellers price bread apples coins of for three four many few weigh pay count "
    "ask stall square noon early loud busy from to with baskets cloth salt and when",
}
QUESTIONS: Final = (
    {"context": "the boat passes under the", "choices": [" bridge", " price"], "answer": 0},
    {"context": "buyers pay coins for", "choices": [" heron", " bread"], "answer": 1},
    {"context": "the old mill near the", "answer": " river"},
)
AS_THE_SERVER: Final = """
import sys
from cptstudio.run_files import read_config
from cptstudio.web.runs.labels import Labels
from cptstudio.web.series import library
from cptstudio.workspace import Workspace
workspace, run = Workspace(sys.argv[1]), sys.argv[2]
library._WORTH_KEEPING = 0
shelves = library.SeriesLibrary(workspace)
shelves.columns(run, workspace.run(run))
shelves.keep_on_disk(shelves._cached(run, workspace.run(run)))
created = read_config(workspace.run(run)).created
Labels(workspace).set(run, created, ["baseline"], "The one to beat.")
Labels(workspace).pin(run, created)
"""
"""What its server writes; a cache of columns only of runs of a million rows, and this is small."""


class Program:
    """The program of before, on one workspace."""

    def __init__(self, command: Path, workspace: Path) -> None:
        self._command = command
        self.workspace = workspace

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run a command; returns what it printed."""
        print("$ cpt-studio", *arguments, flush=True)
        ended = subprocess.run(
            [str(self._command), *arguments],
            cwd=self.workspace,
            env={**os.environ, "CPT_STUDIO_WORKSPACE": str(self.workspace)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != status:
            raise SystemExit(f"{arguments}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command with --json; returns what it says."""
        return json.loads(self.run(*arguments, "--json"))

    def python(self, source: str, *arguments: str) -> None:
        """Run a few lines with the program's own modules."""
        command = [str(self._command.with_name("python")), "-c", source, *arguments]
        subprocess.run(command, check=True)

    def train(self, name: str, *options: str, status: int = 0) -> None:
        """Train a run to its end."""
        settings = self.workspace.parent / "settings.yaml"
        self.run("train", "--name", name, "--config", str(settings), *options, status=status)

    def background(self, name: str, *options: str) -> None:
        """Start a run, with enough steps to do something to it."""
        self.train(name, "--background", "--length", "200000 steps", *options)

    def rows(self, run: str) -> list[dict[str, Any]]:
        """The rows of a run so far."""
        try:
            text = (self.workspace / "models/cpt" / run / "metrics.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def checkpoints(self, run: str) -> list[int]:
        """Steps of its checkpoints."""
        folder = self.workspace / "models/cpt" / run / "checkpoints"
        return sorted(int(one.name[5:]) for one in folder.glob("step-????????"))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.005)


def write_sources(folder: Path) -> None:
    """Write two heaps of small documents, always the same."""
    for name, words in WORDS.items():
        draw = random.Random(name)
        (folder / name).mkdir(parents=True)
        for number in range(40):
            lines = (" ".join(draw.choices(words.split(), k=draw.randint(5, 12))) for _ in range(8))
            (folder / name / f"{number:02d}.txt").write_text(".\n".join(lines) + ".\n")


def kill_between_checkpoints(program: Program, run: str) -> None:
    """Kill -9 a run's trainer when it has a checkpoint and has trained on since."""
    wait_for(lambda: bool(program.checkpoints(run)), f"a checkpoint of {run}")
    pid = program.json("runs", "show", run)["trainer_pid"]
    while True:
        os.kill(pid, signal.SIGSTOP)
        step = max((row["step"] for row in program.rows(run)), default=0)
        if 2 <= step - program.checkpoints(run)[-1] <= 4:
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.003)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: program.json("runs", "show", run)["state"] != "running", "its end")


def make_runs(program: Program) -> None:
    """One run of each kind."""
    program.train("full-completed", "--optimizer", "adamw", "--suite", "basics")
    program.train("lora-completed", "--method", "lora", "--rank", "2", "--optimizer", "muon")
    program.train(
        *("sgd-failed", "--optimizer", "sgd", "--learning-rate", "1", "--length", "300 steps"),
        *("--save-every", "12 steps", "--evaluate-every", "1000 steps"),
        # So that the first step that is a little out of the ordinary ends it.
        *("--guards.spike-window", "16", "--guards.spike-sigma", "2"),
        *("--guards.stop-after-skips", "1"),
        status=1,
    )
    assert program.json("runs", "show", "sgd-failed")["outcome"] == "failed"
    lora = ("--method", "lora", "--rank", "2")
    short = ("--save-every", "6 steps", "--evaluate-every", "1000 steps")
    program.background("dora-killed", "--method", "dora", "--rank", "2", *short)
    program.train("waits", "--background", "--queue", *lora)
    kill_between_checkpoints(program, "dora-killed")
    program.background("lora-stopped", *lora, "--optimizer", "lion", *short)
    wait_for(lambda: bool(program.checkpoints("lora-stopped")), "a checkpoint of lora-stopped")
    program.run("runs", "stop", "lora-stopped", "--wait")
    program.background("full-resumed", "--optimizer", "adafactor", *short)
    kill_between_checkpoints(program, "full-resumed")
    program.run("runs", "resume", "full-resumed", "--yes")
    wait_for(lambda: len({row["session"] for row in program.rows("full-resumed")}) > 1, "rows")
    program.run("runs", "stop", "full-resumed", "--wait")
    program.run(
        *("runs", "fork", "full-completed", "full-forked", "--yes"),
        *("--set", "length=12 steps", "--set", "optimizer.learning_rate=1e-3"),
        *("--set", "checkpoints.every=12 steps"),
    )
    wait_for(lambda: program.json("runs", "show", "full-forked")["state"] == "ended", "the fork")
    program.train("gone", "--length", "2 steps", "--background")
    wait_for(lambda: program.json("runs", "show", "gone")["state"] == "ended", "a run's end")
    shutil.rmtree(program.workspace / "models/cpt/gone")


def make_workspace(program: Program) -> None:
    """Everything but the runs is here."""
    root = program.workspace
    make_toy_model(
        *("llama-tied", root / "models/base" / MODEL),
        hidden_size=8,
        intermediate_size=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_hidden_layers=2,
    )
    (root.parent / "settings.yaml").write_text(SETTINGS)
    write_sources(root / "sources")
    lines = (json.dumps(question) for question in QUESTIONS)
    (root / "sources" / "questions.jsonl").write_text("\n".join(lines) + "\n")
    for name in WORDS:
        shares = ("--held-out", "0.1", "--test", "0.1")
        program.run("corpus", "build", name, f"sources/{name}", "--model", MODEL, *shares)
    prompts = ("--prompt", "the old boat", "--prompt", "buyers pay")
    program.run("suite", "create", "basics", *prompts, "--max-tokens", "8")
    make_runs(program)
    for name in ("mlx-lm-lines-file.log", "mlx-lm-lora-file.log"):
        shutil.copy(ROOT / "tests/runs/fixtures" / name, root / "sources" / name)
    shutil.copy(ROOT / "tests/runs/fixtures/CPT_ended.json", root / "models/cpt/CPT_ended.json")
    program.run("runs", "import", "sources/mlx-lm-lines-file.log")
    program.python(AS_THE_SERVER, str(root), "full-completed")


REPORTS: Final[dict[str, tuple[str, ...]]] = {
    "evaluation": (
        *("evaluate", MODEL, "full-completed", "lora-completed", "dora-killed"),
        *("-c", "river", "-c", "market"),
    ),
    "suite": ("suite", "run", "basics", MODEL, "full-completed", "full-resumed"),
    "questions": ("questions", "sources/questions.jsonl", MODEL, "full-completed"),
    "merge": ("merge", "full-completed", "-c", "river", "--at", "0.5", "--at", "1"),
}
"""Commands that leave a report; what they measured is in the archive."""

AFRESH: Final[dict[str, tuple[str, ...]]] = {
    "runs": ("runs", "list"),
    "run": ("runs", "show", "full-resumed"),
    "corpora": ("corpus", "list"),
    "corpus": ("corpus", "show", "river"),
    "evaluation of the test side": (
        *("evaluate", MODEL, "full-completed@best", "lora-stopped", "full-forked"),
        *("-c", "river", "--split", "test"),
    ),
    "comparison": (
        *("compare", MODEL, "full-completed", "lora-stopped", "--prompt", "the old boat"),
        *("--max-tokens", "12"),
    ),
    "scores": ("score", MODEL, "full-forked", "dora-killed", "--text", SCORED),
    "merge of the test side": (
        *("merge", "lora-completed", "-c", "market", "--split", "test", "--at", "0.5"),
    ),
}
"""Commands whose answers are not in the archive."""


def pack(root: Path, archive: Path) -> None:
    """Write the workspace's files, without those that are of this machine."""

    def chosen(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        parts = Path(info.name).parts
        return None if set(parts) & set(LEFT_OUT) else info

    with tarfile.open(archive, "w:xz") as tar:
        tar.add(root, arcname=".", filter=chosen)


def resumed(program: Program, run: str, steps: int) -> list[dict[str, Any]]:
    """Go on with a run for some steps more; returns the first rows of them."""
    program.run("runs", "resume", run, "--yes")

    def fresh() -> list[dict[str, Any]]:
        rows = program.rows(run)
        last = max(row["session"] for row in rows)
        return [row for row in rows if row["session"] == last and row["kind"] != "evaluation"]

    before = max(row["session"] for row in program.rows(run))
    wait_for(
        lambda: fresh()[0]["session"] > before and len(fresh()) > steps, f"more steps of {run}"
    )
    program.run("runs", "stop", run, "--wait")
    return fresh()[: steps + 1]


def main() -> None:
    """Make the workspace, pack it, and ask the program about it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="cpt-studio of the commit of before.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / "workspace"
        root.mkdir()
        program = Program(given.program.absolute(), root)
        make_workspace(program)
        said: dict[str, Any] = {"root": str(root), "commands": AFRESH | REPORTS, "answers": {}}
        for name, command in REPORTS.items():
            said["answers"][name] = program.json(*command)
        pack(root, TARGET.with_suffix(".tar.xz"))
        for name, command in AFRESH.items():
            said["answers"][name] = program.json(*command)
        said["resumed"] = {
            run: resumed(program, run, 8) for run in ("dora-killed", "lora-stopped", "full-resumed")
        }
        text = json.dumps(said, indent=1, sort_keys=True) + "\n"
        TARGET.with_suffix(".json").write_text(text)
    print(f"{TARGET}.tar.xz: {TARGET.with_suffix('.tar.xz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
