"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_PAGES = Path(__file__).parent / "web" / "ui"


def _allowed_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker and marker.args else 0.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest, so that it does not run alone at the end.

    Tests of pages wait much of their time, others compute: their files take turns, so that both
    are under way at any time.
    """
    items.sort(key=_allowed_seconds, reverse=True)
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    placed = []
    for of_pages in (True, False):
        group = [path for path in files if path.is_relative_to(_PAGES) == of_pages]
        placed += [((number + 0.5) / len(group), path) for number, path in enumerate(group)]
    items[:] = [item for _, path in sorted(placed) for item in files[path]]
