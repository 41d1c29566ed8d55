"""Prepares a run of CPT Studio's trainer for the comparison. A program, started by `ours`.

It builds the corpus once, from the documents that the peers get, keeping all of them for
training; writes the run's config.json; and counts an epoch of the trainer's own batches.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.rows import RowOrder
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.lm.identity import model_hash
from cptstudio.run_files import CONFIG, CorpusRecord, RunConfig, write_record
from cptstudio.settings import parse_settings
from cptstudio.training.training_data import row_order

NEVER = "1000000 steps"


def settings_tree(job: dict[str, Any]) -> dict[str, Any]:
    """The peers' settings under our names; everything not named keeps its default."""
    return {
        "model": {"path": job["model"]},
        "data": {
            "corpora": [{"name": "documents", "role": "domain"}],
            "replay_share": 0.0,
            "sequence_length": job["context"],
        },
        "length": f"{job['warmup'] + job['steps']} steps",
        "seed": job["seed"],
        "method": {"kind": job["method"], "rank": job["rank"], "alpha": 2.0 * job["rank"]},
        "optimizer": {"name": "adamw", "learning_rate": job["learning_rate"]},
        "schedule": {"kind": "constant", "warmup": "1 steps"},
        "batch": {"size": job["batch"]},
        "evaluation": {"every": NEVER, "max_tokens": 100},
        "checkpoints": {"every": NEVER},
    }


def count_epoch(order: RowOrder, rows: int) -> dict[str, int]:
    """What `runner` counts of a peer's epoch, of ours, in micro-batches of so many rows."""
    batches = list(order.micro_batches(0, order.batches_per_epoch, rows))
    masks = [batch.mask for batch in batches]
    useful = sum(
        batch.targets.size if mask is None else int(mask.sum())
        for batch, mask in zip(batches, masks, strict=True)
    )
    return {
        "batches": len(batches),
        "rows": sum(len(batch.inputs) for batch in batches),
        "tokens": useful,
        "useful": useful,
        "positions": sum(batch.targets.size for batch in batches),
    }


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Make what the trainer needs; returns the counts and versions."""
    model = Path(job["model"])
    every_document = BuildSettings(exact_dedup=False, near_dedup=False, validation=0, test=0)
    corpus = build_corpus(
        Path(job["corpus"]), [Path(job["data"]) / "texts"], every_document, model
    ).corpus
    tokens = identify_tokenizer(model)
    settings = parse_settings(settings_tree(job))
    record = CorpusRecord(
        name=corpus.name,
        path=str(corpus.path),
        fingerprint=corpus.token_store(tokens).fingerprint,
        tokenizer_hash=tokens,
    )
    versions = {name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm", "cpt-studio")}
    run = Path(job["run"])
    config = RunConfig(
        name=run.name,
        created=time.time(),
        settings=settings,
        model_path=str(model),
        model_hash=model_hash(model),
        corpora=(record,),
        versions=versions,
        machine={},
        parameter_rule="kinds",
    )
    run.mkdir(parents=True)
    write_record(run / CONFIG, config)
    return {
        "epoch": count_epoch(row_order(settings, [corpus], tokens), job["batch"]),
        "versions": versions,
    }


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    Path(asked["prepared"]).write_text(json.dumps(prepare(asked)))
