"""The documentation is true: its commands run as written, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.training.known_machines import machine_named
from cptstudio.training.recommended_models import recommended_models, ways_that_fit
from tests.demo_workspace import copy_of_demo
from tests.models.conftest import hub_server, model_files
from tests.models.fake_hub import FakeHub

__all__ = ["hub_server", "model_files"]

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
MACHINES = (
    *("M2 8 GB", "M2 16 GB", "M3 Pro 36 GB", "M4 Max 64 GB", "M4 Max 128 GB"),
    *("RTX 4060 Ti 16 GB", "RTX 4090", "H100", "CPU 16 GB", "CPU 32 GB", "CPU 64 GB"),
)
TESTED = re.compile(r"<!-- tested: demo -->\n```sh\n(.*?)```", re.DOTALL)
TESTED_WITH_A_HUB = re.compile(r"<!-- tested: hub -->\n```sh\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_of_the_repository(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_make_targets_that_are_named_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document.name}: make {target}"
    for path in re.findall(r"`((?:tests|benchmarks|scripts|docs)/[\w/.-]+\.\w+)`", text):
        assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_machines_of_the_readme_are_those_of_the_planner() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = lines.index("<!-- tested: machines -->") + 3
    assert lines[first : first + len(MACHINES)] == [_what_fits(name) for name in MACHINES]


def _what_fits(name: str) -> str:
    machine = machine_named(name)
    cells = [name.replace("CPU ", "Linux CPU, ")]
    for way in ("full", "lora", "qlora"):
        fits = [
            model.title
            for model in recommended_models()
            if (found := ways_that_fit(model, machine).get(way)) and found.fit != "none"
        ]
        cells.append(fits[-1])
    return f"| {' | '.join(cells)} |"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_commands_of_the_readme_run_as_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blocks = TESTED.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 4
    # The reader stands in the clone, beside .venv, docs and README.md, after `make run`.
    for name in ("docs", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    activate = tmp_path / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    copy_of_demo(tmp_path_factory, tmp_path / "demo")
    script = "set -euxo pipefail\n" + "\n".join(blocks)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    completed = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout[-4000:] + completed.stderr[-4000:]
    assert "Traceback" not in completed.stdout + completed.stderr
    assert (tmp_path / "demo/models/cpt/first/checkpoints/step-00000020/manifest.json").is_file()


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.timeout(900)
def test_the_four_commands_for_a_folder_of_ones_own_run_as_written(
    hub_server: FakeHub, model_files: dict[str, bytes], tmp_path: Path
) -> None:
    [block] = TESTED_WITH_A_HUB.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    hub_server.add("Qwen/Qwen3-0.6B-Base", model_files)
    notes = tmp_path / "home" / "Documents" / "notes"
    notes.mkdir(parents=True)
    for name in ("models.md", "exports.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for number, part in enumerate(text.split("\n## ")):
            (notes / f"{number}-{name}").write_text(part, encoding="utf-8")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    completed = subprocess.run(
        ["bash", "-c", f"set -euxo pipefail\n{block}"],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
    )
    told = completed.stdout + completed.stderr
    assert completed.returncode == 0 and "Traceback" not in told, told[-4000:]
    assert (workspace / "models/cpt/notes-1/result.json").is_file()
    assert "bits per byte" in completed.stdout.lower(), completed.stdout[-2000:]
