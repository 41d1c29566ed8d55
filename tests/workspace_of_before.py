"""The workspace that a former version made, see scripts/make_workspace_fixture.py."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

_FIXTURE = Path(__file__).parent / "fixtures" / "workspace-of-before"
_WITH_PATHS = (
    "models/cpt/*/config.json",
    ".cpt-studio/*.json",
    ".cpt-studio/runs/*/*.json",
    "corpora/*/manifest.json",
)


def what_it_said() -> dict[str, Any]:
    """What the program of before said, measured and trained on in it.

    "root" is where the workspace was, "commands" what was asked, "answers" what it printed, and
    "resumed" the rows that its runs went on with.
    """
    said: dict[str, Any] = json.loads(_FIXTURE.with_suffix(".json").read_text())
    return said


def lay_out(root: Path) -> Path:
    """Unpack it, as if the user had moved it here and put the paths right; returns `root`."""
    with tarfile.open(_FIXTURE.with_suffix(".tar.xz")) as tar:
        tar.extractall(root, filter="data")
    former = what_it_said()["root"]
    for path in (path for pattern in _WITH_PATHS for path in root.glob(pattern)):
        path.write_text(path.read_text().replace(former, str(root)))
    return root
