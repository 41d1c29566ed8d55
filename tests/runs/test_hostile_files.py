"""Every file that manager, keeper and trainer read is in a table; anything may stand there."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.findings import Findings
from benchmarks.faults.hostile_files import (
    HOSTILE,
    MANAGER_READS,
    RUN,
    TRAINER_READS,
    hostile_resume,
    move_parts,
    prepare,
)
from cptstudio.errors import UserError
from cptstudio.runs import records
from cptstudio.runs.external.external_training import ExternalTraining
from cptstudio.runs.preferences import Preferences, write_preferences
from cptstudio.runs.records import Control
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.test_remedies import remembered_run

FIXTURES = Path(__file__).parent / "fixtures"

# Runs in every Python process of the test and notes each file that it opens for reading.
_NOTES_READS = """
import os, sys
_base = os.environ["READS_BELOW"]
_notes = os.open(os.environ["READS_NOTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_trains = "cptstudio.training.continued_pretraining" in sys.orig_argv
def _note(event, arguments):
    if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    path, flags = os.fsdecode(arguments[0]), arguments[2] or 0
    if path.startswith(_base) and flags & 3 != os.O_WRONLY and not flags & os.O_DIRECTORY:
        os.write(_notes, f"{'trainer' if _trains else 'manager'} {path[len(_base):]}\\n".encode())
sys.addaudithook(_note)
"""

_ACTS = """
import sys
from pathlib import Path
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
base = Path(sys.argv[1])
manager = TrainingManager(Workspace(base / "workspace"), detect=False)
manager.external.import_runs(base / "imported" / "mlx-lm.log")
with manager.serve() as queue:
    manager.resume(sys.argv[2], manager.run(sys.argv[2]).checkpoints()[0], confirmed=True)
    for update in manager.watch(sys.argv[2]):
        pass
    queue.tick()
    manager.external.imported()
    for run in manager.runs():
        run.last_row(), run.checkpoints()
"""


def lay_out(base: Path, parts: dict[str, Any]) -> dict[str, Any]:
    """What there is besides runs: model and corpus, runs of others, preferences."""
    moved = move_parts(parts, base)
    workspace = Workspace(base / "workspace")
    workspace.make(workspace.run("forgellm"))
    shutil.copy(FIXTURES / "CPT_ended.json", workspace.run("forgellm"))
    (base / "imported").mkdir()
    shutil.copy(FIXTURES / "mlx-lm-lines-file.log", base / "imported" / "mlx-lm.log")
    write_preferences(workspace.private, Preferences(prevent_sleep=False))
    return moved


@pytest.mark.slow
def test_the_tables_name_every_file_that_is_read(parts: dict[str, Any], tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    prepare(base, parts)
    shutil.rmtree(base / "parts")
    lay_out(base, parts)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_NOTES_READS)
    noted = tmp_path / "noted"
    told = os.environ | {
        "PYTHONPATH": str(site), "READS_BELOW": f"{base}/", "READS_NOTED": str(noted)
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", _ACTS, str(base), RUN], check=True, env=told)
    seen: dict[str, set[str]] = {"manager": set(), "trainer": set()}
    for line in noted.read_text().splitlines():
        who, _, path = line.partition(" ")
        # What is staged is being written by the one who reads it; folders are flushed.
        if ".staging-" not in path and not (base / path).is_dir():
            seen[who].add(path)
    # A folder without config.json is looked at like a run, and its files are not there.
    seen["manager"] = {
        re.sub(r"(runs|cpt)/forgellm/(?!CPT)", rf"\1/{RUN}/", p) for p in seen["manager"]
    }
    for who, table in (("manager", MANAGER_READS), ("trainer", TRAINER_READS)):
        missing = {p for p in seen[who] if not any(fnmatch.fnmatch(p, place) for place in table)}
        assert not missing, f"the {who} reads what its table does not name"
        never = {place for place in table if not fnmatch.filter(seen[who], place)}
        assert not never, f"the {who} never reads what its table names"


def _looks(manager: TrainingManager) -> list[Callable[[], object]]:
    def serve() -> None:
        with manager.serve() as queue:
            queue.tick()

    return [
        lambda: [(run.last_row(), run.checkpoints()) for run in manager.runs()],
        lambda: manager.run(RUN),
        lambda: list(manager.watch(RUN)),
        manager.external.imported,
        lambda: ExternalTraining(manager.workspace).ask(os.getpid(), "watch"),
        lambda: manager.stop(RUN),
        serve,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("place", MANAGER_READS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_anything_in_a_files_place_is_named_and_hides_no_other_run(
    parts: dict[str, Any], tmp_path: Path, place: str, kind: str
) -> None:
    moved = lay_out(tmp_path, parts)
    workspace = Workspace(tmp_path / "workspace")
    for name in (RUN, "other"):
        remembered_run(workspace, moved, name, ended=True)
    folder = workspace.private / "runs" / RUN
    records.write(folder / records.CONTROL, Control("a", "stop", 1.0))
    TrainingManager(workspace).external.import_runs(tmp_path / "imported" / "mlx-lm.log")
    target = tmp_path / place
    target.unlink(missing_ok=True)
    HOSTILE[kind](target)
    if place.endswith("/workspace.json"):
        # What may be a newer version's is not touched, whatever it is asked for.
        with pytest.raises(UserError, match=r"workspace\.json: .* Restore a copy of it"):
            TrainingManager(workspace).runs()
        return
    manager = TrainingManager(workspace)
    assert {run.id for run in manager.runs()} == {RUN, "other"}
    assert str(manager.run("other").state) == "ended (killed)"
    for look in _looks(manager):
        try:
            look()
        except UserError as error:
            assert str(error)
    with pytest.raises(UserError):
        # Its model or corpus cannot be read, or it holds no checkpoint, or it is over.
        manager.start_prepared(RUN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("parts/model/tokenizer.json", "FIFO"),
        ("parts/corpora/toy/versions/*/documents/frames.npy", "link to a FIFO"),
        (f"workspace/models/cpt/{RUN}/metrics.jsonl", "huge file"),
    ],
)
def test_a_trainer_neither_hangs_nor_crashes(
    parts: dict[str, Any], tmp_path: Path, place: str, kind: str
) -> None:
    assert place in TRAINER_READS
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    prepare(prepared, parts)
    findings = Findings(Counter(), [], time.monotonic())
    hostile_resume(prepared, tmp_path / "copy", place, kind, findings)
    assert findings.violations == []
    assert findings.counts["hostile files in the trainer's way"] == 1
