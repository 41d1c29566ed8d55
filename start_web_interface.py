"""Open CPT Studio in the browser: `python start_web_interface.py --demo`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

try:
    from cptstudio.web.serve.server import main
except ModuleNotFoundError as error:
    sys.exit(
        f"{error.name} is missing. Run `make setup` once, and then this file with .venv/bin/python."
    )

if __name__ == "__main__":
    main()
