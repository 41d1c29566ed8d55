"""One small workspace for the whole room; each test prepares runs of its own in it."""

from __future__ import annotations

import pytest

from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("workspace"))
