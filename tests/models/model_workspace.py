"""A workspace with a model of every kind, written in a moment: nothing is trained."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

from cptstudio import run_files
from cptstudio.durable import sha256_of_file
from cptstudio.export_files import EXPORT, ExportRecord, ExportSource
from cptstudio.lm.merge_record import MergedPart, MergeRecord, write_merge_record
from cptstudio.models.origin import ORIGIN
from cptstudio.run_files import CheckpointManifest, FileRecord, Parent, write_record
from cptstudio.workspace import Workspace
from tests.models.test_library import demo_model
from tests.web.run_directories import config_of

HUB_ID = "some-org/Small"
CARD = f"---\nlicense: apache-2.0\nbase_model: {HUB_ID}-Base\n---\n# Small\n"


def write_run(workspace: Workspace, name: str, base: Path, **changes: Any) -> Path:
    """A run's directory, which names its base; returns it."""
    directory = workspace.run(name)
    directory.mkdir(parents=True)
    config = config_of(name, model={"path": base.name})
    write_record(
        directory / run_files.CONFIG, config.model_copy(update={"model_path": str(base), **changes})
    )
    return directory


def write_checkpoint(
    directory: Path,
    step: int,
    layout: Literal["model", "adapter"] = "adapter",
    domain: float | None = None,
) -> Path:
    """A complete checkpoint of a run."""
    folder = directory / run_files.CHECKPOINTS / run_files.checkpoint_name(step)
    if layout == "model":
        folder.parent.mkdir(exist_ok=True)
        demo_model(folder)
    else:
        folder.mkdir(parents=True)
        (folder / "adapters.safetensors").write_bytes(b"\0" * 100)
        (folder / "adapter_config.json").write_text("{}")
    state = folder / run_files.TRAINING_STATE
    state.mkdir()
    (state / "optimizer.safetensors").write_bytes(b"\0" * 50)
    files = {
        path.relative_to(folder).as_posix(): FileRecord(
            size=path.stat().st_size, sha256=sha256_of_file(path)
        )
        for path in folder.rglob("*")
        if path.is_file()
    }
    manifest = CheckpointManifest(
        step=step,
        method="lora" if layout == "adapter" else "full",
        layout=layout,
        session=0,
        metrics_seq=step,
        domain_bits_per_byte=domain,
        files=files,
    )
    write_record(folder / run_files.MANIFEST, manifest)
    return folder


def write_export(workspace: Workspace, name: str, reference: str, source: Path) -> Path:
    """A GGUF export of a model; returns its folder."""
    folder = workspace.make(workspace.exports) / name
    folder.mkdir()
    (folder / f"{name}.gguf").write_bytes(b"GGUF" + b"\0" * 96)
    record = ExportRecord(
        created=time.time(),
        format="gguf",
        weights="Q8_0",
        source=ExportSource(reference=reference, folder=str(source)),
    )
    write_record(folder / EXPORT, record)
    return folder


def make_models(root: Path) -> Workspace:
    """Base "base" with a card, runs "first" (full) and "lora", fork, merge "half", export "out"."""
    workspace = Workspace(root)
    workspace.make(workspace.base_models)
    base = demo_model(workspace.base_model("base"))
    (base / "README.md").write_text(CARD)
    (base / "LICENSE").write_text("The license's text.\n")
    origin = {"id": HUB_ID, "commit": "0" * 40, "revision": "main", "downloaded": 1e9}
    (base / ORIGIN).write_text(json.dumps(origin))
    first = write_run(workspace, "first", base)
    full = write_checkpoint(first, 10, "model", 1.5)
    lora = write_run(workspace, "lora", base)
    write_checkpoint(lora, 5, domain=1.2)
    write_checkpoint(lora, 10, domain=1.3)
    parent = Parent(run="lora", path=str(lora), checkpoint=str(lora / "checkpoints/step-00000010"))
    fork = write_run(workspace, "fork", base, parent=parent)
    write_checkpoint(fork, 5)
    half = demo_model(workspace.base_model("half"))
    parts = (MergedPart(str(base), 0.5), MergedPart(str(full), 0.5))
    write_merge_record(half, MergeRecord("0.5 of first@step-00000010", parts))
    write_export(workspace, "out", "half", half)
    return workspace
