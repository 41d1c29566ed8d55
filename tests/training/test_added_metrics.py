"""What CONTRIBUTING.md says is all that a metric takes, done in a copy of the source."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from cptstudio.workspace import Workspace
from tests.changed_source import add_before, copy_of_source, examples_under, run_with
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare

TRAIN_AND_ASK = """
import json, sys
from pathlib import Path
from cptstudio.training.continued_pretraining import ContinuedPretraining
from cptstudio.training.stop_requests import StopRequest
from tests.web.in_process import make_web

root = Path(sys.argv[1])
ContinuedPretraining(root / "models" / "cpt" / "added", StopRequest()).run()
web = make_web(root)
ask = lambda path: web.request("GET", path).get_data(as_text=True)
json.dump({
    "table": ask("/api/metrics"),
    "series": ask("/api/runs/added/series?keys=under_way"),
    "export": ask("/api/runs/added/export?format=csv"),
    "compared": ask("/api/compare?runs=added"),
}, open(sys.argv[2], "w"))
"""


@pytest.mark.slow
def test_two_files_add_a_metric_with_its_chart_and_two_a_measure(tmp_path: Path) -> None:
    package = copy_of_source(tmp_path / "source")
    added = examples_under("A metric and its chart", "An evaluation metric")
    record, logged, measure, computed = added.values()
    assert [name.split()[-1] for name in added] == [
        "metrics.py", "training/loop.py", "metrics.py", "lm/likelihood.py"
    ]  # fmt: skip
    table = package / "metrics.py"
    add_before(table, ')  # fmt: skip\n"""Numbers of the rows of kind "train"', record)
    add_before(package / "training" / "loop.py", "            **({} if skipped is None", logged)
    add_before(table, ')\n"""What is measured on one set', measure)
    likelihood = package / "lm" / "likelihood.py"
    add_before(likelihood, "    def figures(self)", f"{computed}\n")
    workspace: Workspace = make_workspace(tmp_path / "workspace")
    prepare(
        workspace, "added", length="4 steps", evaluation={"every": "4 steps", "max_tokens": 300}
    )
    found_file = tmp_path / "found.json"
    run_with(package, TRAIN_AND_ASK, str(workspace.root), str(found_file))
    found = json.loads(found_file.read_text(encoding="utf-8"))
    charts = [
        one["chart"] for kind in json.loads(found["table"]).values() for one in kind if one["chart"]
    ]
    assert {
        "id": "under-way",
        "title": "Steps under way",
        "size": "",
        "zero": False,
        "optional": False,
    } in charts
    series = json.loads(found["series"])
    assert series["keys"]["under_way"]["x"] == [1, 2, 3, 4]
    measured = [point["corpora"] for point in series["evaluations"]]
    assert all(
        of[name]["median_bits_per_byte"] > 0 for of in measured for name in (DOMAIN, GENERAL)
    )
    rows = list(csv.DictReader(io.StringIO(found["export"])))
    assert [row["under_way"] for row in rows if row["kind"] == "train"][-1] == "0"
    assert float(rows[-1][f"{DOMAIN}.median_bits_per_byte"]) > 0
    (compared,) = [
        one for one in json.loads(found["compared"])["deltas"] if one["key"] == "under_way"
    ]
    assert compared["title"] == "Steps under way"
