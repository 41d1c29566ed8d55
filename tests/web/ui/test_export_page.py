"""An export as a user makes it: chosen on the model's page, followed, and its comparison read."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.toy_models import make_toy_model
from tests.web.server_process import running_server
from tests.web.ui.accessibility import assert_accessible, needs_axe
from tests.web.ui.browsers import come_in

pytestmark = [pytest.mark.slow, needs_axe]
ENDS = 300_000
"""Milliseconds; a loaded machine takes its time for loading MLX."""


def test_a_model_is_quantized_and_what_that_costs_is_read(browser: Browser, tmp_path: Path) -> None:
    make_toy_model("qwen3", tmp_path / "models" / "base" / "toy")
    with running_server(tmp_path, "--no-detect") as server:
        context = browser.new_context(reduced_motion="reduce")
        page = come_in(context, server)
        page.goto(f"{server.origin}/models?model=toy&tab=export")
        page.get_by_label("Group size").select_option("32")
        page.get_by_role("button", name="Quantize").click()
        page.get_by_role("link", name="toy-4bit").click(timeout=ENDS)
        page.get_by_role("tab", name="Comparison").click()
        table = page.get_by_role("table", name="Compared with the checkpoint")
        assert "Bits per byte" in table.inner_text()
        page.get_by_text("toy is no checkpoint of a run").wait_for()
        assert_accessible(page)
        page.goto(f"{server.origin}/models?model=toy&tab=export")
        page.get_by_role("button", name="Quantize").click()
        page.get_by_text("There is an export 'toy-4bit' already.").wait_for()
        page.set_viewport_size({"width": 390, "height": 844})
        assert_accessible(page)
        context.close()
