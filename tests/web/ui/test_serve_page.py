"""A model is served, used and stopped in the browser."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from cptstudio.serving.endpoints import Endpoints
from cptstudio.workspace import Workspace
from tests.web.server_process import PATIENCE, RunningServer
from tests.web.ui.accessibility import assert_accessible_in_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
expect.set_options(timeout=PATIENCE * 1000)


def test_a_model_is_served_and_stopped(page: Page, studio: RunningServer) -> None:
    try:
        page.goto("/models?model=toy&tab=serve")
        page.get_by_label("Requests at once").fill("33")
        expect(page.get_by_text("Use at most 32.")).to_be_visible()
        expect(page.get_by_role("button", name="Start")).to_be_disabled()
        page.get_by_label("Requests at once").fill("2")
        page.get_by_role("button", name="Start").click()
        card = page.get_by_role("region", name="Endpoint", exact=True)
        expect(card.get_by_text("Ready")).to_be_visible(timeout=5 * PATIENCE * 1000)
        status = page.get_by_role("group", name="Status")
        expect(status.get_by_role("link", name="toy: served")).to_be_visible()
        page.get_by_role("button", name="Show key").click()
        expect(page.get_by_role("button", name="Copy Key")).to_be_visible()
        address, model, key = card.locator("pre").all_inner_texts()

        body = json.dumps({"model": model, "prompt": "x", "max_tokens": 3}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/completions", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert json.load(answer)["usage"]["completion_tokens"] == 3
        expect(page.get_by_role("region", name="Log", exact=True)).to_contain_text("3 made")
        expect(page.get_by_role("region", name="Example call")).to_contain_text(address)
        page.get_by_text("Python (openai)").click()
        expect(page.get_by_role("region", name="Example call")).to_contain_text("import OpenAI")
        assert_accessible_in_all(page)

        # By the status bar to the endpoint's own view, which ends it.
        status.get_by_role("link", name="toy: served").click()
        expect(page.get_by_role("heading", name="toy", level=1)).to_be_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_text("Stopped").first).to_be_visible()
        expect(status.get_by_role("link", name="toy: served")).to_have_count(0)
        page.goto("/models")
        table = page.get_by_role("region", name="Endpoints")
        expect(table.get_by_text("Stopped")).to_be_visible()
        table.get_by_role("link", name="toy").click()
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("heading", name="Models", level=1)).to_be_visible()
        expect(table).to_have_count(0)
    finally:
        endpoints = Endpoints(Workspace(studio.workspace))
        for one in endpoints.all():
            endpoints.stop(one.id)
