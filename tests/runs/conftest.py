"""One toy model and corpus for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runs.toy_runs import make_toy_parts, new_workspace


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_toy_parts(tmp_path_factory.mktemp("parts"))


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    return new_workspace(tmp_path)
