"""What holds for all tests."""

from __future__ import annotations

import pytest


def _allowed_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker and marker.args else 0.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest, so that it does not run alone at the end."""
    items.sort(key=_allowed_seconds, reverse=True)
