"""A hub and a workspace with real runs for the tests of publishing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cptstudio.models.origin import ORIGIN
from cptstudio.workspace import Workspace
from tests.models.conftest import hub_server
from tests.workspace_of_before import lay_out

__all__ = ["hub_server"]  # A fixture, which pytest finds by its name here.

BASE = "some-org/Tiny-Base"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Real runs on a base model that came from the hub and names its license."""
    place = Workspace(lay_out(tmp_path / "w"))
    base = place.base_model(place.base_model_names()[0])
    (base / "README.md").write_text("---\nlicense: other\nlicense_name: tiny-terms\n---\n# Base\n")
    origin = {"id": BASE, "commit": "0" * 40, "revision": "main", "downloaded": 1.0}
    (base / ORIGIN).write_text(json.dumps(origin))
    return place
