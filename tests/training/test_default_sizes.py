"""Defaults fit by their own plan, or no default does; what does not fit is made to, or told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.real_sizes.folders import published_models
from cptstudio.lm.description import ModelDescription, Quantization
from cptstudio.lm.network_facts import LinearLayers, NetworkFacts, Storage
from cptstudio.settings import (
    SHORTEST_CONTEXT,
    MethodSettings,
    TrainingSettings,
    parse_settings,
)
from cptstudio.training.defaults import (
    Filled,
    fill_in,
    targets_without_experts,
    with_adapters_chosen,
)
from cptstudio.training.known_machines import machine_named, names, smallest_with
from cptstudio.training.machine import Machine
from cptstudio.training.make_it_fit import WayToFit, packed_facts, way_to_fit
from cptstudio.training.resources import estimate_memory

PLAIN = ("llama", "qwen2", "qwen3")
MACHINES = [*(f"{size} GB" for size in (8, 16, 24, 36, 64, 128, 512)), "RTX 4090", "CPU 32 GB"]


def facts_of(config: dict[str, Any]) -> NetworkFacts:
    """A plain network's facts by its configuration, as bfloat16 files hold it."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    heads, wide = config["num_attention_heads"], config["intermediate_size"]
    size = config.get("head_dim") or hidden // heads
    queries, keys = heads * size, config["num_key_value_heads"] * size
    shapes = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden),
        "mlp.down_proj": (hidden, wide),
    }
    linears = tuple(
        LinearLayers(path, tuple(range(layers)), shape, None, sum(shape), sum(shape), shape[0])
        for path, shape in shapes.items()
    )
    matrices = layers * sum(out * into for out, into in shapes.values())
    tables = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    norms = hidden * (2 * layers + 1)
    storage = Storage(numbers={"bfloat16": matrices + tables + norms})
    table_storage = Storage(numbers={"bfloat16": tables})
    kinds = {"matrix": matrices, "embedding": tables, "norm": norms}
    return NetworkFacts(kinds, storage, tables, table_storage, layers, linears, {}, layers)


def described(path: Path, config: dict[str, Any], packed: bool) -> ModelDescription:
    return ModelDescription(
        path=path, model_type=config["model_type"], architectures=(), parameters=0, bytes=0,
        dtype="bfloat16", quantization=Quantization(4, 64, "mlx") if packed else None,
        vocabulary_size=config["vocab_size"], embedding_rows=config["vocab_size"],
        context_limit=config["max_position_embeddings"], has_chat_template=False,
        needs_remote_code=False, full_training_obstacle="It is packed." if packed else None,
        obstacle=None,
    )  # fmt: skip


def settings(**changes: Any) -> TrainingSettings:
    return parse_settings({"model": {"path": "it"}, "data": {"corpora": [{"name": "a"}]}} | changes)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[ModelDescription, NetworkFacts]]:
    root = tmp_path_factory.mktemp("configurations")
    found = []
    for one in published_models():
        if one.config["model_type"] not in PLAIN:
            continue
        folder = root / one.name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(one.config), encoding="utf-8")
        facts = facts_of(one.config)
        found.append((described(folder, one.config, False), facts))
        found.append((described(folder, one.config, True), packed_facts(facts)))
    assert len(found) >= 20
    return found


def ways() -> Iterator[TrainingSettings]:
    yield settings()
    for kind in ("full", "lora", "dora"):
        yield settings(method={"kind": kind})


def total(filled: Filled, machine: Machine) -> int:
    gauge = filled.gauge
    return estimate_memory(gauge.model, gauge.network, filled.settings, machine).total


def update_tokens(chosen: TrainingSettings) -> int:
    rows, accumulation = chosen.batch.cut
    return rows * accumulation * (chosen.data.sequence_length or 0)


def test_every_default_fits_with_room_to_spare_or_none_does(
    models: list[tuple[ModelDescription, NetworkFacts]],
) -> None:
    fitting = 0
    for model, network in models:
        smallest_of_all: dict[str, bool] = {}
        for name in MACHINES:
            machine = machine_named(name)
            for given in ways():
                if given.method.kind == "full" and model.quantization:
                    continue
                filled = fill_in(given, model, network, machine)
                chosen = filled.settings
                needed = total(filled, machine)
                what = f"{model.path.name}, {given.method.kind} on {name}"
                assert (needed <= machine.room) == filled.fits, what
                assert needed == filled.gauge.needed(filled.cut), what
                wanted = min(model.context_limit or 2048, 2048)
                assert update_tokens(chosen) == 4 * wanted, what
                assert (chosen.data.sequence_length or 0) >= SHORTEST_CONTEXT
                if chosen.method.kind == "full" and given.method.kind is None:
                    assert filled.fits and chosen.data.sequence_length == wanted, what
                if given.method.kind is None:
                    smallest_of_all[name] = filled.fits
                    assert {choice.field for choice in filled.choices} >= {
                        "method.kind", "batch.size", "data.sequence_length",
                        "compute.gradient_checkpointing", "optimizer.learning_rate",
                    }  # fmt: skip
                fitting += filled.fits
        macs = [smallest_of_all[name] for name in MACHINES[:7]]
        assert macs == sorted(macs), "what fits a Mac fits a larger one"
    assert fitting > 300


def test_what_fits_nowhere_names_the_smallest_machine_that_it_fits_on(
    models: list[tuple[ModelDescription, NetworkFacts]],
) -> None:
    for model, network in models:
        filled = fill_in(settings(), model, network, machine_named("8 GB"))
        if filled.fits:
            continue
        needed = filled.gauge.needed(filled.cut)
        bigger = smallest_with(needed, machine_named("8 GB"))
        assert bigger is not None and bigger.name is not None
        assert fill_in(settings(), model, network, bigger).fits
        smaller = [one for one in map(machine_named, names()) if one.accelerator == "metal"]
        assert all(one.room < needed for one in smaller if one.memory < bigger.memory)


def test_make_it_fit_takes_the_first_steps_that_are_enough(
    models: list[tuple[ModelDescription, NetworkFacts]], tmp_path: Path
) -> None:
    by_name = {model.path.name: (model, network) for model, network in reversed(models)}

    def way(name: str, machine: str, **given: Any) -> WayToFit:
        own = settings(**{"data": {"corpora": [{"name": "a"}], "sequence_length": 2048}} | given)
        filled = fill_in(own, *by_name[name], machine_named(machine))
        assert not filled.fits
        found = way_to_fit(filled, tmp_path)
        for step in found.steps:
            assert step.memory_bytes > 0 and step.title and step.note
        if found.ready:
            again = fill_in(found.applied(own), *by_name[name], machine_named(machine))
            assert again.fits and update_tokens(again.settings) == update_tokens(filled.settings)
            assert total(again, machine_named(machine)) == found.steps[-1].memory_bytes
        return found

    plain = {"size": 4, "gradient_accumulation_steps": 1}
    checkpointing = {"gradient_checkpointing": False}
    lora = {"method": {"kind": "lora"}, "batch": plain, "compute": checkpointing}
    assert way("Qwen3-1.7B", "36 GB", **lora).changes == {
        "batch.size": 2,
        "batch.gradient_accumulation_steps": 2,
    }
    own = {"batch": {"size": 4096}}
    open_else = way("Qwen3-1.7B", "8 GB", **own)
    assert open_else.ready and set(open_else.changes) >= {
        "batch.size",
        "batch.gradient_accumulation_steps",
    }
    only = way("Llama-3.1-8B", "64 GB", method={"kind": "full"}, batch=plain, compute=checkpointing)
    assert only.ready and only.changes["method.kind"] == "lora"
    packed = way("Qwen3-8B", "24 GB", **lora)
    assert packed.fits and not packed.ready and "mlx_lm.convert" in packed.steps[-1].note
    none = way("Qwen3-32B", "8 GB", **lora)
    assert not none.fits and none.sentence is not None
    assert "The smallest machine it fits on: Mac" in none.sentence
    assert "Models up to about" in none.sentence

    copy = tmp_path / "Qwen3-8B-4bit"
    copy.mkdir()
    config = json.loads((by_name["Qwen3-8B"][0].path / "config.json").read_text(encoding="utf-8"))
    config["quantization"] = {"group_size": 64, "bits": 4}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    own = settings(**lora | {"data": {"corpora": [{"name": "a"}], "sequence_length": 2048}})
    filled = fill_in(own, *by_name["Qwen3-8B"], machine_named("24 GB"))
    found = way_to_fit(filled, tmp_path)
    assert found.ready and found.changes["model.path"] == "Qwen3-8B-4bit"
    assert found.applied(own).method.kind == "qlora"


def test_what_the_user_set_stays(models: list[tuple[ModelDescription, NetworkFacts]]) -> None:
    model, network = models[2]
    given = settings(batch={"size": 8}, compute={"gradient_checkpointing": False})
    chosen = fill_in(given, model, network, machine_named("16 GB")).settings
    assert chosen.batch.size == 8 and chosen.compute.gradient_checkpointing is False
    assert update_tokens(chosen) == 8 * 2048
    asked = fill_in(
        settings(batch={"gradient_accumulation_steps": 3}), model, network, machine_named("16 GB")
    )
    assert asked.settings.batch.cut == (4, 3)


def test_experts_get_no_adapters_unless_named(
    models: list[tuple[ModelDescription, NetworkFacts]],
) -> None:
    _, network = models[0]
    assert targets_without_experts(network) is None
    experts = LinearLayers("mlp.switch_mlp.up_proj", (0,), (8, 4, 4), None, 64, None, 0)
    mixture = replace(network, linears=(*network.linears[:4], experts))
    wanted = tuple(one.path for one in network.linears[:4])
    assert targets_without_experts(mixture) == wanted
    assert targets_without_experts(replace(network, linears=(experts,))) is None
    named = MethodSettings(targets=("mlp.switch_mlp.up_proj",))
    assert with_adapters_chosen(named, mixture).targets == named.targets
    assert with_adapters_chosen(MethodSettings(), mixture).targets == wanted
    assert with_adapters_chosen(MethodSettings(), mixture).rank == 16
