"""An export as a user makes it: chosen on the model's page, followed, and its comparison read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from cptstudio.evaluation.references import resolve_reference
from cptstudio.exports.comparison import (
    Answers,
    Gain,
    Reference,
    ReferencePrompt,
    ReferenceWindow,
    compare,
    prove,
)
from cptstudio.exports.converter import Converter, wheels
from cptstudio.exports.folders import files_in
from cptstudio.exports.records import new_record, write_export
from cptstudio.workspace import Workspace
from tests.toy_models import make_toy_model
from tests.web.server_process import PATIENCE, running_server
from tests.web.ui.accessibility import (
    assert_accessible,
    assert_accessible_in_all,
    needs_axe,
    picture,
)
from tests.web.ui.browsers import come_in
from tests.web.ui.payloads import PAYLOADS

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


def write_gguf(workspace: Workspace, name: str) -> None:
    """An export of "toy" that costs half of what training gained."""
    folder = workspace.make(workspace.exports) / name
    folder.mkdir()
    (folder / f"{name}.gguf").write_bytes(b"GGUF" + bytes(1000))
    (folder / "Modelfile").write_text("FROM it")
    reference = Reference(
        label="toy",
        computed="float32",
        text="2 validation tokens of words",
        text_bytes=4,
        bytes=4000,
        prompts=[ReferencePrompt(tokens=[1], greedy=[2, 3], margins=[0.5, 0.2])],
        windows=[ReferenceWindow(tokens=[1, 2, 3], log_probs=[-1.0, -2.0], best=[2, 3])],
    )
    said = Answers(
        by="llama.cpp (xllamacpp 1)",
        computed="float32 on the CPU, with a float32 cache",
        greedy=[[2, 4]],
        log_probs=[[-1.5, -2.5]],
        best=[[2, 4]],
    )
    found = compare(reference, said, size=1004, bits_per_weight=8.5)
    record = new_record(
        resolve_reference("toy", workspace),
        "0",
        files_in(folder),
        format="gguf",
        weights="Q8_0",
        bytes=1004,
        parameters=900,
        bits_per_weight=8.5,
        notes=[f"Types of the matrices: {PAYLOADS[0]}"],
        proof=prove(found, Gain(bits_per_byte=0.7)).model_dump(),
    )
    write_export(folder, record)


def test_gguf_from_the_converter_to_other_programs(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "w")
    make_toy_model("llama", workspace.make(workspace.base_models) / "toy")
    write_gguf(workspace, "mine-Q8_0")
    home = tmp_path / "home"
    (home / ".lmstudio" / "models").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    with running_server(workspace.root, "--no-detect") as server:
        context = browser.new_context(
            reduced_motion="reduce", viewport={"width": 1366, "height": 900}
        )
        context.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        page = come_in(context, server)

        # Nothing is downloaded before its size was shown.
        page.goto(f"{server.origin}/models?model=toy&tab=export")
        card = page.get_by_role("region", name="GGUF", exact=True)
        expect(card.get_by_text("not installed in this workspace")).to_be_visible()
        card.get_by_text("to download").click()
        expect(card.get_by_role("rowheader", name="xllamacpp")).to_be_visible()
        expect(card.get_by_role("button", name="Install (")).to_be_visible()
        assert_accessible_in_all(page)
        picture(page, "gguf-install")

        # An environment that is there: what can be made, and how it is removed again.
        converter = Converter(workspace)
        made = [sys.executable, "-m", "venv", "--without-pip", converter.folder]
        subprocess.run(made, check=True)
        converter.mark(converter.folder, wheels(), {"xllamacpp": "1"})
        page.reload()
        card.get_by_label("Type", exact=True).select_option("Q4_K_M")
        expect(card.get_by_label("Name")).to_have_value("toy-Q4_K_M")
        expect(card.get_by_text("The usual choice for large models.")).to_be_visible()
        assert_accessible_in_all(page)
        picture(page, "gguf-form")
        card.get_by_label("Name").fill("mine-Q8_0")
        card.get_by_role("button", name="Make the file").click()
        expect(card.get_by_text("There is an export 'mine-Q8_0' already.")).to_be_visible()
        card.get_by_role("button", name="Remove the converter").click()
        expect(page.get_by_role("dialog")).to_contain_text("become free")
        assert_accessible(page)
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(card.get_by_role("button", name="Install (")).to_be_visible()
        assert not converter.folder.exists()

        # What was made: its comparison with the warning, and where it can go.
        page.goto(f"{server.origin}/models?model=exports/mine-Q8_0&tab=comparison")
        expect(page.get_by_text("Use more bits.")).to_be_visible()
        expect(page.get_by_text(PAYLOADS[0])).to_be_visible()
        assert_accessible_in_all(page)
        picture(page, "gguf-comparison")
        page.get_by_role("tab", name="Export").click()
        page.get_by_role("button", name="Put into LM Studio").click()
        expect(page.get_by_text("LM Studio has it in")).to_be_visible()
        assert_accessible_in_all(page)
        picture(page, "gguf-places")
        assert (home / ".lmstudio/models/cpt-studio/mine-Q8_0/mine-Q8_0.gguf").exists()
        context.close()
