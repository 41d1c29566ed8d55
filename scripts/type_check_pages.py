"""Type-checks the pages' JavaScript: `python -m scripts.type_check_pages`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.node import node_command

ROOT = Path(__file__).parent.parent
COMPILER = ROOT / "node_modules" / "typescript" / "bin" / "tsc"


def main() -> int:
    """Exit status of the type checker."""
    return subprocess.run(node_command(str(COMPILER), "-p", str(ROOT / "tsconfig.json"))).returncode


if __name__ == "__main__":
    sys.exit(main())
