"""The examples of CONTRIBUTING.md, done in a copy of the source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def examples_under(*titles: str) -> dict[str, str]:
    """Lines to add, by the comment that says where, of the sections with these titles."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = [text.partition(f"\n### {title}\n")[2].partition("\n##")[0] for title in titles]
    blocks = "".join(
        block.split("```")[0] for one in sections for block in one.split("```python\n")[1:]
    )
    return {
        place: lines
        for place, _, lines in (one.partition("\n") for one in blocks.split("# in ")[1:])
    }


def copy_of_source(folder: Path) -> Path:
    """The package's copy in a folder, to change."""
    return shutil.copytree(ROOT / "src" / "cptstudio", folder / "cptstudio")


def add_before(file: Path, place: str, lines: str) -> None:
    """Add lines to a file before a place that it has once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(place) == 1, place
    file.write_text(text.replace(place, lines + place), encoding="utf-8")


def run_with(package: Path, program: str, *arguments: str) -> str:
    """What a Python program prints that imports the changed package."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
