"""The converter and GGUF exports over HTTP, where the converter is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy_models import make_toy_model
from tests.web.in_process import Web, make_web


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Web]:
    make_toy_model("llama", tmp_path / "models" / "base" / "toy")
    web = make_web(tmp_path)
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


@pytest.mark.slow
def test_nothing_is_downloaded_before_the_user_agreed(studio: Web) -> None:
    found = studio.get("/api/exports/converter")
    assert not found["ready"] and found["bytes"] is None
    assert [one["type"] for one in found["types"]][:2] == ["F32", "BF16"]
    body = {"model": "toy", "name": "mine", "type": "Q8_0"}
    refused = studio.request("POST", "/api/exports/gguf", json=body)
    assert refused.status_code == 422 and "converter" in refused.text
    if found["packages"]:
        refused = studio.request("POST", "/api/exports/converter", json={})
        assert refused.status_code == 422 and "Confirm the download of" in refused.text
    assert not studio.studio.jobs.jobs()
    assert studio.request("DELETE", "/api/exports/converter").status_code == 200
    for where in ("lm-studio", "ollama"):
        missing = studio.request("POST", f"/api/exports/none/{where}", json={})
        assert missing.status_code == 404, missing.text
    assert not (studio.studio.workspace.private / "converter").exists()
