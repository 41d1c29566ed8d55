"""Reports to keep: whole, of text only, and in need of nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from cptstudio.cli.report import report
from cptstudio.errors import UserError
from cptstudio.run_files import CONFIG, write_record
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.web.problems import NotFound
from cptstudio.web.report.charts import Line, draw
from cptstudio.web.report.report import file_name, report_of
from cptstudio.web.runs.run_library import RunLibrary
from cptstudio.workspace import Workspace
from tests.web.run_directories import config_of, make_run
from tests.web.ui.payloads import PAYLOADS

TURNED = "\u202egnp.exe\u2066"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> RunLibrary:
    """Two runs whose model, samples, events, versions and notes are markup."""
    workspace = Workspace(tmp_path_factory.mktemp("reports"))
    workspace.make(workspace.runs)
    for name, gain in (("one", 0.01), ("two", 0.02)):
        directory = make_run(workspace, name, model={"path": PAYLOADS[0]}, seed=3).parent
        config = config_of(name, model={"path": PAYLOADS[0]}, seed=3)
        versions = {"python": "3", PAYLOADS[3]: PAYLOADS[4]}
        write_record(directory / CONFIG, config.model_copy(update={"versions": versions}))
        writer = TrainingMetricsLogger(directory, session=0)
        for step in range(41):
            if step:
                writer.row("train", step, loss=4 - gain * step, tokens_seen=step * 10, elapsed=step)
            if step % 10 == 0:
                bits = {"domain_bits_per_byte": 2 - gain * step, "general_bits_per_byte": 1.5}
                corpora = {"code": {"role": "domain", "bits_per_byte": 2 - gain * step}}
                writer.row("evaluation", step, corpora=corpora, tokens_seen=step * 10, **bits)
        for at, payload in enumerate(PAYLOADS):
            writer.event("skipped", 8, payload)
            for step in (0, 10, 20, 40):
                writer.sample(step, at, payload, f"{payload} at {step}{TURNED}")
        writer.close()
    library = RunLibrary(workspace, TrainingManager(workspace, detect=False))
    library.labels.set("one", library.run("one").created, PAYLOADS[:3], TURNED + PAYLOADS[1])
    return library


def test_a_report_is_one_file_of_text(library: RunLibrary) -> None:
    for ids in (["one"], ["one", "two", "one"]):
        text = report_of(library, ids)
        style = text.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
        assert policy == [
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ]
        # Tags are the template's own; none refers to anything.
        assert not re.search(r"<(script|img|image|iframe|object|embed|link|base|a|use)\b", text)
        assert not re.search(r"<[^>]*\s(style|on\w+|href|src)=", text)
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", text) and "\\u202egnp.exe" in text
        assert "&lt;script&gt;pwned()&lt;/script&gt; at 40" in text


def test_a_report_tells_what_its_run_page_tells(library: RunLibrary) -> None:
    text = report_of(library, ["one"])
    assert "Domain \N{MINUS SIGN}20%, general 0.0% since the start." in text
    for words in ("40 of 1,000", "Validation loss (bits per byte)", "2.0000", "1.6000"):
        assert words in text, words
    changed, _, rest = text.partition("Set by you or automatically")
    assert "<dt>seed</dt><dd><bdi>3</bdi>" in changed and "Defaults (" in rest
    # The first evaluation's samples and the two newest.
    assert "Step 0" in text and "Step 20" in text and "<h4>Step 10</h4>" not in text
    several = report_of(library, ["one", "two"])
    assert "one (baseline)" in several and "(-25.0%)" in several
    assert several.count('<svg viewBox="0 0 460') > text.count('<svg viewBox="0 0 460')


def test_the_terminal_saves_it(library: RunLibrary, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    root = library.workspace.root
    report(["one"], output=target, yes=False, workspace=root)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(UserError, match="exists"):
        report(["one"], output=target, yes=False, workspace=root)
    report(["one", "two"], output=target, yes=True, workspace=root)
    assert "Settings that differ" in target.read_text(encoding="utf-8")
    with pytest.raises(NotFound, match="no run 'three'"):
        report(["three"], output=target, yes=True, workspace=root)
    assert file_name(["../a", "<b>"]) == "a--b-report.html"


def test_charts_of_odd_values() -> None:
    assert draw("nothing", [Line("a", [], 1)]) is None
    point = draw("a point", [Line("a", [(3, 0.0)], 1)])
    assert point is not None and len(point.lines[0].dots) == 1
    level = draw("level", [Line("a", [(0, 5.0), (1e6, 5.0)], 1)], zero=True)
    assert level is not None and [tick.text for tick in level.x_ticks][-1] == "1M"
    tiny = draw("tiny", [Line("a", [(0, 1e-12), (1, 3e-12)], 1)])
    assert tiny is not None and len({tick.text for tick in tiny.y_ticks}) == len(tiny.y_ticks)
