"""The lowest versions that pyproject.toml names are enough: a journey is made with them.

uv, which is installed for this test alone, chooses them (`--resolution lowest-direct`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = [
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "websocket-client",
    "types-pyyaml",
    "pypdf[crypto]",
]
JOURNEY = [
    *("tests/test_journey.py", "tests/test_terminal.py", "tests/test_yaml_text.py"),
    *("tests/corpus/test_cases.py", "tests/corpus/test_readers.py", "tests/web/test_server.py"),
    *("tests/web/test_connections.py", "tests/web/test_overridden_parts.py"),
]
IMPORT_ALL = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
for path in sorted((root / "cptstudio").rglob("*.py")):
    if path.name not in ("__main__.py", "__init__.py"):
        importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
"""


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_the_lowest_versions_are_enough(tmp_path: Path) -> None:
    def run(*command: object) -> None:
        ended = subprocess.run(
            [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-3000:]

    tools, lowest = tmp_path / "tools", tmp_path / "lowest"
    for folder in (tools, lowest):
        run(sys.executable, "-m", "venv", folder)
    run(tools / "bin/python", "-m", "pip", "install", "--quiet", "uv")
    python = lowest / "bin/python"
    install = (tools / "bin/uv", "pip", "install", "--quiet", "--python", python)
    run(*install, "--resolution", "lowest-direct", "--requirement", "pyproject.toml")
    # The tools of tests may be new; what the product names stays as it was chosen.
    run(*install, *TOOLS)
    site = next((lowest / "lib").glob("python3*/site-packages"))
    (site / "this-source.pth").write_text(f"{ROOT / 'src'}\n")
    run(python, "-c", IMPORT_ALL, ROOT / "src")
    run(python, "-m", "cptstudio.cli", "train", "--help")
    run(python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not bench", *JOURNEY)
