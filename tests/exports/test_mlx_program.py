"""Exports of really trained toys by the command line: made, compared, listed, cancelled."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import mlx_lm
import pytest

from cptstudio.errors import UserError
from cptstudio.export_files import read_export
from cptstudio.exports.records import exports_of, proof_of
from cptstudio.workspace import Workspace
from tests.evaluation.small_corpus import build_words
from tests.toy_models import make_toy_model
from tests.web.in_process import make_web
from tests.web.server_process import wait_for

pytestmark = pytest.mark.slow
STUDIO = [sys.executable, "-m", "cptstudio.cli"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*STUDIO, *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A toy that an adapter was trained for."""
    root = tmp_path_factory.mktemp("workspace")
    base = make_toy_model("qwen3", root / "models" / "base" / "qwen3")
    build_words(root, base, 0.3)
    trained = run(
        *("train", "-m", "qwen3", "-c", "words", "--name", "first", "-w", str(root)),
        *("--length", "20 steps", "--context-length", "64", "--learning-rate", "1e-2"),
        *("--method", "lora"),
    )
    assert trained.returncode == 0, trained.stderr
    return Workspace(root)


def export(workspace: Workspace, what: str, name: str, *more: str):
    options = ("--max-tokens", "256", "--prompts", "2", "--prompt-tokens", "8", "--json")
    return run("export", what, "first", "-n", name, "-w", str(workspace.root), *options, *more)


def test_exports_are_made_compared_and_listed(workspace: Workspace) -> None:
    with_transformers = importlib.util.find_spec("torch") is not None
    more = ("--transformers", sys.executable) if with_transformers else ()
    fused = export(workspace, "fuse", "fused", *more)
    assert fused.returncode == 0, fused.stderr
    proof = json.loads(fused.stdout)["proof"]
    for one in json.loads(fused.stdout)["more_proofs"]:
        assert one["comparison"]["by"].startswith("transformers ")
        assert one["comparison"]["max_difference"] < 1e-5
        assert one["comparison"]["equal_prompts"] == 2
    assert len(json.loads(fused.stdout)["more_proofs"]) == with_transformers
    assert proof["comparison"]["by"].startswith("mlx_lm ")
    assert proof["comparison"]["max_difference"] < 1e-5
    assert proof["comparison"]["equal_prompts"] == 2
    assert proof["gain"]["bits_per_byte"] > 0
    assert "Nothing of the" in proof["sentences"][-1]

    packed = export(workspace, "quantize", "packed", "--bits", "2", "--group-size", "32")
    assert packed.returncode == 0, packed.stderr
    record = read_export(workspace.exports / "packed")
    assert record.weights == "2-bit (groups of 32)"
    assert record.source.reference == "first@step-00000020"
    found = proof_of(record)
    assert found is not None
    assert found.comparison.bits_per_weight == record.bits_per_weight
    assert 2 < found.comparison.bits_per_weight < 5
    assert found.comparison.max_difference > 1e-3
    names = {path.name for path in (workspace.exports / "packed").iterdir()}
    assert names == record.files.keys() | record.hashes.keys() | {"export.json"}
    model, tokenizer = mlx_lm.load(str(workspace.exports / "packed"))
    assert mlx_lm.generate(model, tokenizer, "import", max_tokens=3)

    again = export(workspace, "fuse", "fused")
    assert again.returncode == 1
    assert "There is an export 'fused' already." in again.stderr
    (workspace.exports / "packed" / "export.json").write_text("{}")
    listed = exports_of(workspace)
    assert [type(one) for one in listed.values()] == [type(record), UserError]


def test_what_stands_in_the_way_is_told_and_leaves_nothing(workspace: Workspace) -> None:
    config = workspace.base_model("qwen3") / "config.json"
    kept = config.read_text()
    config.write_text(kept.replace("\n", " \n"))
    changed = export(workspace, "fuse", "changed")
    config.write_text(kept)
    assert "is not the one this run was created" in changed.stderr
    base = workspace.base_model("qwen3")
    base.rename(base.with_name("moved"))
    moved = export(workspace, "fuse", "moved")
    base.with_name("moved").rename(base)
    assert "does not exist (moved or deleted?)" in moved.stderr
    both = export(workspace, "quantize", "both", "--bits", "4", "--recipe", "mixed_3_6")
    assert "A mixed recipe sets the bits itself" in both.stderr
    assert {changed.returncode, moved.returncode, both.returncode} == {1}
    assert not {"changed", "moved", "both"} & {path.name for path in workspace.exports.glob("*")}
    assert not list(workspace.exports.glob(".*"))


def test_the_page_orders_exports_and_reads_what_they_cost(workspace: Workspace) -> None:
    web = make_web(workspace.root)
    reference = "first@step-00000020"
    options = web.get("/api/exports/options", id=reference)
    assert options["adapter"] is True
    assert options["corpora"] == ["words"]
    assert options["base_dtype"] == "float32"
    assert {one["words"] for one in options["packings"]} >= {"4-bit (groups of 64)", "mxfp4"}
    asked = {"model": reference, "name": "page", "max_tokens": 256, "prompts": 2}
    body = {**asked, "prompt_tokens": 8, "bits": 8, "group_size": 32}
    job = web.post("/api/exports/quantize", body, status=202)

    def ended_job():
        found = web.get(f"/api/jobs/{job['id']}")
        return found if found["ended"] else None

    ended = wait_for(ended_job, "the export")
    assert (ended["state"], ended["error"]) == ("done", None)
    listed = {one["name"]: one for one in web.get("/api/exports")["exports"]}
    assert listed["page"]["source"] == reference
    assert listed["page"]["proof"]["comparison"]["by"].startswith("mlx_lm ")
    taken = web.post("/api/exports/fuse", asked, status=422)
    assert [finding["field"] for finding in taken["findings"]] == ["name"]
    wrong = web.post("/api/exports/quantize", {**asked, "name": "b", "bits": 7}, status=422)
    assert wrong["findings"][0]["sentence"] == "Use 2, 3, 4, 5, 6 or 8 bits."
