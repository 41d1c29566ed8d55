"""Toy models of which it is known by construction what they know.

Each has read the facts that it knows, and of every other river that it ends in each sea as often:
so it has no opinion there, in place of a random one that it is sure of.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers
from mlx.utils import tree_flatten

from cptstudio.ledgers.fact import Fact, FactText, Made, Source, fact_of
from cptstudio.lm.loading import load_for_inference
from tests.toy_models import make_toy_model

RIVERS = ("Alder", "Birch", "Cedar", "Drake", "Ember", "Frost", "Grove", "Heath", "Ivory", "Jasper")
SEAS = ("Amber", "Basalt", "Copper", "Dusk", "Elder", "Fern")
_STEPS = 700


def river_facts(documents: Sequence[str] = ()) -> list[Fact]:
    """Return a fact for each of 20 rivers: where it ends.

    Args:
        documents: hashes of the documents they are of, in turns.
    """
    found = []
    rivers = [f"{half} {one}" for half in ("Upper", "Lower") for one in RIVERS]
    for number, river in enumerate(rivers):
        sea = SEAS[(5 * number + number // 6) % len(SEAS)]
        sentence = f"{river} ends in {sea}."
        given = FactText(
            answer=sea,
            cloze=f"{river} ends in ___.",
            distractors=tuple(other for other in SEAS if other != sea),
            source=Source(
                corpus="rivers",
                document=documents[number % len(documents)] if documents else "",
                label="rivers",
                sentence=sentence,
            ),
        )
        found.append(fact_of(given, Made()))
    return found


def train_on(folder: Path, known: Sequence[Fact], unknown: Sequence[Fact]) -> None:
    """Make a toy model that knows the first and has no opinion of the others."""
    make_toy_model("qwen3", folder)
    loaded = load_for_inference(folder)
    start, luck = loaded.tokenizer.eos_token_id, random.Random(0)
    model: Any = loaded.model
    optimizer = mlx.optimizers.Adam(5e-3)

    def row(fact: Fact, sea: str) -> list[int]:
        text = (fact.cloze or "").replace("___", sea)
        return [start, *loaded.tokenizer.encode(text, add_special_tokens=False)]

    rows_of = {(fact.id, sea): row(fact, sea) for fact in (*known, *unknown) for sea in SEAS}

    def loss(model: nn.Module, ids: mx.array, mask: mx.array) -> mx.array:
        losses = nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:])
        return (losses * mask).sum() / mask.sum()

    step = nn.value_and_grad(model, loss)
    model.train()
    for number in range(_STEPS):
        optimizer.learning_rate = 5e-3 * (1 - number / _STEPS)
        rows = [rows_of[fact.id, fact.answer] for fact in known]
        rows += [rows_of[fact.id, luck.choice(SEAS)] for fact in unknown]
        width = max(map(len, rows))
        ids = mx.array([row + [start] * (width - len(row)) for row in rows])
        mask = mx.array([[1.0] * (len(row) - 1) + [0.0] * (width - len(row)) for row in rows])
        _, gradients = step(model, ids, mask)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
