"""Computes what training the recommended models takes: `python -m scripts.make_recommended_models`.

For each model of `src/cptstudio/data/recommended_models.json` it makes a folder with the published
configuration and the true names, types and shapes of all tensors, without weights, once as
published and once packed with 4 bits, and writes what the product's own estimates say of it into
the same file. Run it when the estimates or the list changed; `--check` only says what differs.
Needs what the benchmarks need (PyTorch).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from benchmarks.real_sizes.folders import (
    build_on_meta,
    packed_shapes,
    published_shapes,
    write_folder,
)
from cptstudio.lm.description import describe_model
from cptstudio.lm.network_reader import read_network
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.training.defaults import targets_without_experts
from cptstudio.training.machine import Machine
from cptstudio.training.recommended_models import FILE, SEQUENCE, Way
from cptstudio.training.resources import compute_dtype, estimate_memory

PATH = Path(str(files("cptstudio"))) / "data" / FILE
_MACHINES = {
    "cpu": Machine("", "", 1, 1 << 40, "cpu"),
    "gpu": Machine("", "", 1, 1 << 40, "metal"),
}


def measured(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a model's plans say, by its configuration."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, packed = Path(scratch) / "model", Path(scratch) / "packed"
        folder.mkdir()
        network, _ = build_on_meta(config, folder)
        write_folder(folder, config, published_shapes(config, network))
        facts = read_network(folder)
        found: dict[str, Any] = {
            "parameters": facts.parameters,
            "bytes": describe_model(folder).bytes,
        }
        if facts.storage.packed:
            # It is packed as published, so LoRA on it is QLoRA.
            packed = folder
        else:
            shapes, changed = packed_shapes(folder, 4)
            write_folder(packed, changed, shapes)
        found["packed_bytes"] = read_network(packed).storage.bytes()
        memory: dict[str, dict[str, dict[str, int]]] = {}
        for accelerator, machine in _MACHINES.items():
            memory[accelerator] = {}
            for way in get_args(Way):
                if packed == folder and way != "qlora":
                    continue
                where = packed if way == "qlora" else folder
                memory[accelerator][way] = _steps(where, way, machine)
        return {**found, "memory": memory}


def _steps(folder: Path, way: str, machine: Machine) -> dict[str, int]:
    model, network = describe_model(folder), read_network(folder)
    found = {}
    for name, again in (("plain", False), ("checkpointing", True)):
        settings = _settings(way, min(model.context_limit or SEQUENCE, SEQUENCE), again)
        dtype = compute_dtype(settings, machine)
        compute = settings.compute.model_copy(update={"dtype": dtype, "threads": 1})
        # As a plan chooses them: of a mixture's experts none.
        targets = targets_without_experts(network) if way != "full" else None
        method = settings.method.model_copy(update={"targets": targets})
        settings = settings.model_copy(update={"compute": compute, "method": method})
        found[name] = estimate_memory(model, network, settings, machine).total
    # Beside the gradients of a whole model, what checkpointing spares may be less than it takes.
    found["checkpointing"] = min(found.values())
    return found


def _settings(way: str, context: int, again: bool) -> TrainingSettings:
    return parse_settings(
        {
            "model": {"path": "model"},
            "data": {"corpora": [{"name": "corpus"}], "context_length": context},
            "method": {"kind": way},
            "batch": {"rows": 1, "accumulation": 1},
            "compute": {"gradient_checkpointing": again},
        }
    )


def main() -> None:
    """Compute, and write or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", default="", help="models whose id holds this")
    given = parser.parse_args()
    models: list[dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))
    differ = []
    for model in models:
        if given.only in model["id"]:
            found = measured(model["config"])
            if any(model.get(name) != value for name, value in found.items()):
                differ.append(model["id"])
            model.update(found)
            print(model["id"], found["parameters"], json.dumps(found["memory"]), flush=True)
    if not given.check:
        models.sort(key=lambda one: int(one.get("parameters", 0)))
        text = json.dumps(models, indent=1, ensure_ascii=False)
        PATH.write_text(text + "\n", encoding="utf-8")
    print(f"{len(differ)} differ: {', '.join(differ)}")
    sys.exit(bool(given.check and differ))


if __name__ == "__main__":
    main()
