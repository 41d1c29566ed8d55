"""All models as one list: their kinds, what each was made from, and what is wrong with some."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cptstudio import run_files
from cptstudio.export_files import EXPORT
from cptstudio.lm import description
from cptstudio.lm.merge_record import RECORD
from cptstudio.models.library import ModelLibrary
from cptstudio.models.lineage import ancestors, descendants
from cptstudio.models.registry import ModelRecord, ModelRegistry, pick
from cptstudio.models.texts import read_text, texts_of
from cptstudio.workspace import Workspace
from tests.models.model_workspace import HUB_ID, make_models, write_checkpoint, write_run
from tests.models.test_library import demo_model, in_cache


def registry_of(workspace: Workspace, cache: Path = Path("/nowhere")) -> ModelRegistry:
    return ModelRegistry(workspace, ModelLibrary(workspace, cache=cache))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_models(tmp_path / "w")


def by_reference(workspace: Workspace) -> dict[str, ModelRecord]:
    return {record.reference: record for record in registry_of(workspace).records()}


def test_every_kind_of_model_is_told_with_what_it_was_made_from(workspace: Workspace) -> None:
    found = by_reference(workspace)
    assert {name: (one.kind, one.adapter, one.error) for name, one in found.items()} == {
        "base": ("downloaded", False, None),
        "half": ("merged", False, None),
        "exports/out": ("exported", False, None),
        "first@step-00000010": ("checkpoint", False, None),
        "fork@step-00000005": ("checkpoint", True, None),
        "lora@step-00000005": ("checkpoint", True, None),
        "lora@step-00000010": ("checkpoint", True, None),
    }
    links = {
        name: [(link.relation, link.reference, link.weight) for link in one.made_from]
        for name, one in found.items()
    }
    assert links == {
        "base": [("card", None, None)],
        "half": [("part", "base", 0.5), ("part", "first@step-00000010", 0.5)],
        "exports/out": [("source", "half", None)],
        "first@step-00000010": [("base", "base", None)],
        "fork@step-00000005": [("parent", "lora@step-00000010", None), ("base", "base", None)],
        "lora@step-00000005": [("base", "base", None)],
        "lora@step-00000010": [("base", "base", None)],
    }
    # All come from the base in the end, whose card names the license.
    assert {one.license for one in found.values()} == {"apache-2.0"}
    assert found["base"].license_of is None and found["exports/out"].license_of == "base"
    lora = found["lora@step-00000005"]
    assert (lora.best, lora.last, lora.method, lora.step) == (True, False, "lora", 5)
    assert (lora.bytes, lora.training_bytes) == (152, 50)
    assert lora.description is not None and lora.description.model_type == "qwen3"


def test_a_lineage_is_followed_both_ways(workspace: Workspace) -> None:
    records = registry_of(workspace).records()

    def shown(tree: Callable[..., list[object]], reference: str) -> list[tuple[object, ...]]:
        nodes = tree(pick(reference, records), records)
        return [(n.depth, n.relation, n.label) for n in nodes]  # type: ignore[attr-defined]

    assert shown(ancestors, "exports/out") == [
        (0, "source", "half"),
        (1, "part", "base"),
        (2, "download", f"{HUB_ID} at 00000000"),
        (2, "card", f"{HUB_ID}-Base"),
        (1, "part", "first@step-00000010"),
        (2, "base", "base"),
    ]
    assert shown(descendants, "base") == [
        (0, "part", "half"),
        (1, "source", "out"),
        (0, "run", "first"),
        (0, "run", "lora"),
        (1, "run", "fork"),
    ]
    assert shown(descendants, "lora@step-00000005") == []
    # A card may name anything, itself among it.
    base = workspace.base_model("base")
    (base / "README.md").write_text(f"---\nbase_model: [{HUB_ID}, {HUB_ID}]\n---\n")
    records = registry_of(workspace).records()
    assert len(shown(ancestors, "base")) == 3


def test_broken_models_are_listed_with_file_field_and_value(workspace: Workspace) -> None:
    for name, spoil in {
        "cut-json": lambda f: (f / "config.json").write_text('{"model_type": "qwen3", '),
        "no-weights": lambda f: (f / "model.safetensors").unlink(),
        "cut-off": lambda f: os.truncate(f / "model.safetensors", 4000),
        "fifo": lambda f: ((f / "config.json").unlink(), os.mkfifo(f / "config.json")),
        "loop": lambda f: (
            (f / "config.json").unlink(),
            (f / "config.json").symlink_to("config.json"),
        ),
    }.items():
        spoil(demo_model(workspace.base_model(name)))
    demo_model(workspace.base_model("new"), model_type="brand-new")
    packed = {"quant_method": "gptq", "bits": 4}
    demo_model(workspace.base_model("gptq"), quantization_config=packed)
    first = workspace.run("first") / run_files.CHECKPOINTS / "step-00000010"
    (first / run_files.MANIFEST).write_text('{"step": "ten"}')
    (workspace.run("fork") / run_files.CONFIG).write_text("{}")
    (workspace.export("out") / EXPORT).write_text("[]")
    (workspace.exports / "begun").mkdir()
    found = by_reference(workspace)
    said = {
        "cut-json": "config.json",
        "no-weights": "no weights",
        "cut-off": "model.safetensors",
        "fifo": "config.json",
        "loop": "config.json",
        "new": "'brand-new'",
        "gptq": "GPTQ",
        "first@step-00000010": "manifest.json",
        "fork@step-00000005": "config.json",
        "exports/out": "export.json",
        "exports/begun": "export.json",
    }
    for reference, words in said.items():
        error = found[reference].error
        assert error is not None and words in error, (reference, error)
    # What depends on a broken one says so, and all others are as they were.
    (workspace.base_model("base") / "config.json").unlink()
    adapter = by_reference(workspace)["lora@step-00000010"].error
    assert adapter is not None and "base model" in adapter and "config.json" in adapter


def test_models_outside_of_the_workspace_and_moved_ones(
    workspace: Workspace, tmp_path: Path
) -> None:
    outside = demo_model(tmp_path / "outside")
    write_checkpoint(write_run(workspace, "away", outside), 3)
    snapshot = in_cache(tmp_path / "cache", "other/Cached")
    write_checkpoint(write_run(workspace, "cached", snapshot), 3)
    registry = registry_of(workspace, tmp_path / "cache")
    found = {record.reference: record for record in registry.records()}
    assert (found[str(outside)].place, found[str(outside)].kind) == ("elsewhere", "base")
    assert found["away@step-00000003"].made_from[0].reference == str(outside)
    assert found["cached@step-00000003"].made_from[0].reference == "other/Cached"
    assert (found["other/Cached"].kind, found["other/Cached"].home.name) == (
        "downloaded",
        "models--other--Cached",
    )
    outside.rename(tmp_path / "moved")
    gone = {record.reference: record for record in registry.records()}
    assert gone[str(outside)].place == "missing"
    assert "does not exist" in str(gone[str(outside)].error)
    assert "does not exist" in str(gone["away@step-00000003"].error)


def test_merges_of_before_are_found_by_the_words_of_their_label(workspace: Workspace) -> None:
    record = workspace.base_model("half") / RECORD
    record.write_text(json.dumps({"merge": "0.5 of first@step-00000010"}))
    [link] = by_reference(workspace)["half"].made_from
    assert link.reference == "first@step-00000010"
    record.write_text(json.dumps({"merge": "x", "parts": [1, {"model": 2}, {"model": "/gone"}]}))
    [link] = by_reference(workspace)["half"].made_from
    assert (link.reference, link.label) == (None, "/gone")


def test_what_was_read_is_read_again_only_when_a_file_changed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(workspace)
    before = registry.records()
    read: list[Path] = []
    real = description.read_tensors
    monkeypatch.setattr(
        description, "read_tensors", lambda path: (read.append(path), real(path))[1]
    )
    monkeypatch.setattr(run_files, "read_json", lambda path, *_: pytest.fail(f"{path} read again"))
    assert registry.records() == before and not read
    monkeypatch.undo()
    config = workspace.base_model("half") / "config.json"
    changed = json.loads(config.read_text()) | {"max_position_embeddings": 99}
    config.write_text(json.dumps(changed))
    half = pick("half", registry.records())
    assert half.description is not None and half.description.context_limit == 99
    shutil.rmtree(workspace.run("lora"))
    assert [one.run for one in registry.records() if one.run] == ["first", "fork"]


def test_only_texts_in_the_models_own_folder_are_read(workspace: Workspace, tmp_path: Path) -> None:
    base = workspace.base_model("base")
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    (base / "LICENSE.txt").symlink_to(secret)
    (base / "NOTICE").mkdir()
    os.mkfifo(base / "COPYING")
    assert [text.name for text in texts_of(base, base)] == ["README.md", "LICENSE"]
    assert read_text(base, base, "README.md") == "# Small\n"
    for name in ("LICENSE.txt", "../half/config.json", "config.json", "COPYING"):
        with pytest.raises(Exception, match="no text"):
            read_text(base, base, name)
    snapshot = in_cache(tmp_path / "cache", "other/Cached")
    blob = snapshot.parent.parent / "blobs" / "license"
    blob.write_text("of the cache")
    (snapshot / "LICENSE").symlink_to(blob)
    assert read_text(snapshot, snapshot.parent.parent, "LICENSE") == "of the cache"
