"""What the tests of the web interface share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.in_process import Web, make_web


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """The application on an empty workspace."""
    made = make_web(tmp_path)
    yield made
    made.studio.news.close()
    made.studio.manager.close()
