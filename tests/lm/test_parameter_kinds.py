"""What each parameter of every architecture is, held against the networks themselves."""

from __future__ import annotations

import re

import mlx.core as mx
import pytest
from mlx.nn.layers.embedding import Embedding
from mlx.utils import tree_flatten

from cptstudio.lm.embeddings import embedding_modules
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.loading import load_for_training
from cptstudio.lm.methods import apply_method
from cptstudio.lm.parameter_kinds import parameter_kinds
from cptstudio.lm.parameters import named_parameters, set_parameters, trainable_parameters
from cptstudio.lm.saving import restore_trainable
from cptstudio.lm.weight_formats import can_be_compiled
from cptstudio.run_files import ParameterRule, RunConfig
from cptstudio.settings import MethodSettings
from tests.lm import networks, parameter_table
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import prepare

# Written as a reader of the field would say it, without the product's own lists.
_NEVER_TRAINED = re.compile(
    r"correction_bias|expert_bias|router_bias|inv_freq|running_|quant_\w+_scale|layer_scalar"
    r"|act_fn\.(eps|beta)|weight_scale$|\.indexer\."
)
_TABLES = re.compile(r"embed|wte|wpe|(^|\.)lm_head|embed_out|^output\.weight")
_NEVER_MATRICES = re.compile(
    r"norm\w*\.weight$|ln_\w+\.weight$|A_log|\.D$|dt_bias|conv\w*\.weight$|conv_[kv]$|bias$|sinks?$"
    r"|\.x_[rwkvag]$|\.[kr]_[ka]$"
)


def test_the_page_lists_what_the_networks_are() -> None:
    """A newer mlx-lm brings new networks: read them, then write the page again."""
    text = parameter_table.PAGE.read_text(encoding="utf-8")
    assert text == parameter_table.page(), "run: python -m tests.lm.parameter_table"
    assert len(networks.names()) - len(networks.NOT_BUILT) >= 124


@pytest.mark.parametrize("name", [n for n in networks.names() if n not in networks.NOT_BUILT])
def test_every_parameter_of_every_architecture_has_its_kind(name: str) -> None:
    model = networks.build(name)
    kinds, values = parameter_kinds(model), named_parameters(model)
    assert kinds.keys() == values.keys()
    for parameter, kind in kinds.items():
        shown = (parameter, kind, values[parameter].shape)
        assert (kind == "constant") == bool(_NEVER_TRAINED.search(parameter)), shown
        if kind == "matrix":
            assert values[parameter].ndim > 1, shown
            assert not _NEVER_MATRICES.search(parameter), shown
            rows = values[parameter].shape[0]
            assert not (_TABLES.search(parameter) and rows == 512), shown
        if kind == "embedding":
            assert _TABLES.search(parameter), shown
        experts = re.search(r"(switch_mlp|experts)\.\w+\.weight", parameter)
        if experts and values[parameter].ndim == 3:
            assert kind == "matrix", shown
    tables = [path for path, module in model.named_modules() if isinstance(module, Embedding)]
    assert all(kinds[f"{path}.weight"] == "embedding" for path in tables)
    # The token embedding and the head alone may have a rate of their own.
    shapes = {module.weight.shape for module in embedding_modules(model).values()}
    assert len(shapes) == 1 and next(iter(shapes))[0] in (512, 51200), shapes


def test_constants_keep_their_value_and_experts_are_trained(toy_folder: ToyFolder) -> None:
    loaded, method = prepare(toy_folder("glm4_moe"), kind="full")
    trained = trainable_parameters(loaded.model)
    frozen = named_parameters(loaded.model).keys() - trained.keys()
    assert frozen and all(name.endswith("e_score_correction_bias") for name in frozen)
    stacks = [name for name, value in trained.items() if value.ndim == 3]
    assert stacks and all(method.treatments[name].muon for name in stacks)
    assert not any(method.treatments[name].decayed for name in method.embeddings)
    assert not any(t.muon and not t.decayed for t in method.treatments.values())


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_factors_of_adapters_are_matrices(toy_folder: ToyFolder, kind: str) -> None:
    loaded, method = prepare(toy_folder("qwen3_moe"), kind=kind, train_embeddings=True)
    for name in trainable_parameters(loaded.model):
        factor = re.search(r"lora_[ab]$", name) is not None
        assert method.treatments[name].muon == method.treatments[name].decayed == factor, name
        assert factor or name.endswith(".m") or name in method.embeddings
    assert any(value.ndim == 3 for value in trainable_parameters(loaded.model).values()) == (
        kind == "lora"
    )


def test_runs_of_before_keep_their_groups(toy_folder: ToyFolder) -> None:
    loaded = load_for_training(toy_folder("glm4_moe"))
    gate = loaded.model.layers[1].mlp.gate
    gate.router_bias = mx.zeros((4,))
    method = apply_method(loaded, MethodSettings(kind="full"), rule="axes")
    trained = trainable_parameters(loaded.model)
    assert any(name.endswith("router_bias") for name in trained)
    for name, value in trained.items():
        table = name in method.embeddings
        assert method.treatments[name].decayed == (value.ndim > 1 and not table), name
        assert method.treatments[name].muon == (value.ndim == 2 and not table), name
    # A fork under the new rule takes over the constants that were trained then.
    set_parameters(loaded.model, {"model.layers.1.mlp.gate.router_bias": mx.ones((4,))})
    fresh = load_for_training(toy_folder("glm4_moe"))
    fresh.model.layers[1].mlp.gate.router_bias = mx.zeros((4,))
    apply_method(fresh, MethodSettings(kind="full"))
    assert "model.layers.1.mlp.gate.router_bias" not in trainable_parameters(fresh.model)
    restore_trainable(fresh.model, trained | dict(tree_flatten(loaded.model.parameters())))
    assert fresh.model.layers[1].mlp.gate.router_bias.tolist() == [1.0] * 4


def test_what_cannot_be_compiled_is_known() -> None:
    model = networks.build("dbrx")
    model.train()
    batch = mx.zeros((1, 8), dtype=mx.int32)
    assert not can_be_compiled("dbrx") and can_be_compiled("llama")
    mx.eval(GradientStep(model, streams=1)(batch, batch)[2])
    with pytest.raises(ValueError, match="not allowed"):
        GradientStep(model, streams=1, compile=True)(batch, batch)


def test_a_run_that_names_no_rule_is_of_before() -> None:
    fields = RunConfig.model_fields
    assert fields["parameter_rule"].default == "axes"
    assert fields["parameter_rule"].annotation == ParameterRule
