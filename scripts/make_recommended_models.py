"""Computes what training the recommended models takes: `python -m scripts.make_recommended_models`.

For each model of `src/cptstudio/data/recommended_models.json` it makes a folder with the published
configuration and the true names, types and shapes of all tensors, without weights, and writes what
the product's own estimates say of it into the same file. Run it when the estimates or the list
changed; `--check` only says what differs. Needs what the benchmarks need (PyTorch).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks.real_sizes.folders import build_on_meta, published_shapes, write_folder
from cptstudio.lm.description import describe_model
from cptstudio.lm.network_reader import read_network
from cptstudio.training.machine import Machine
from cptstudio.training.make_it_fit import packed_facts
from cptstudio.training.recommended_models import FILE
from cptstudio.training.ways_to_train import ways_to_train

PATH = Path(str(files("cptstudio"))) / "data" / FILE
_MACHINES = {
    "cpu": Machine("", "", 1, 1 << 40, "cpu"),
    "gpu": Machine("", "", 1, 1 << 40, "metal"),
}


def measured(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a model's plans say, by its configuration."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        network, _ = build_on_meta(config, folder)
        write_folder(folder, config, published_shapes(config, network))
        model, facts = describe_model(folder), read_network(folder)
        packed = facts if facts.storage.packed else packed_facts(facts)
        return {
            "parameters": facts.parameters,
            "bytes": model.bytes,
            "packed_bytes": packed.storage.bytes(),
            "memory": {
                accelerator: {
                    way: {"plain": fit.needed, "checkpointing": fit.checkpointing}
                    for way, fit in ways_to_train(model, facts, machine).items()
                }
                for accelerator, machine in _MACHINES.items()
            },
        }


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
