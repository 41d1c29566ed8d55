"""Each parameter's kind, and so how it is trained: the one rule of freezing, decay and Muon.

| Kind | Trained | Decayed | Muon |
|---|---|---|---|
| matrix | yes | yes | yes, each matrix of a stack on its own |
| embedding | yes | no | no |
| vector | yes | no | no |
| constant | no | | |

- A *matrix* maps one space to another: the weights of linear layers and of routers, and stacks of
  them, one for each expert or head ([experts, out, in]); the factors of adapters.
- An *embedding* is looked up row by row, or compared with: tables of tokens, positions, types and
  n-grams, and the output head. Rows that the corpus does not show would only decay, and Muon's step
  on a table moves all of them (Jordan et al., kellerjordan.github.io/posts/muon, leaves them out).
- A *vector* scales, shifts or times single channels, whatever its number of axes: norms (also those
  of [heads, width]), biases (also of [experts, out]), gains, attention sinks, the decay rates of
  state spaces (A_log, D, dt_bias: never decayed in their authors' code, arXiv 2312.00752), kernels
  of short convolutions ([channels, width, 1]: one filter a channel).
- A *constant* is none of training's business: published training holds it fixed, or moves it by
  another rule than gradients. The bias of a router balances the load by the sign of an expert's
  excess (arXiv 2408.15664) and has no gradient; running statistics, rotary tables, scales of fake
  quantization, and what transformers keeps as a buffer (xIELU's beta and eps, Gemma 4's
  layer_scalar). An indexer of sparse attention only chooses keys: its authors train it by a loss
  of its own (arXiv 2512.02556), the model's loss does not reach it, and decay would wear it away.
  Attention sinks are parameters there, and trained here too.

What a parameter is follows from the module that holds it; the name of its attribute counts only
where a module of an architecture's own holds arrays. docs/parameters.md lists what that comes to
for every architecture of mlx-lm; a test holds it to the networks themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx_lm.models.mla import MultiLinear
from mlx_lm.models.switch_layers import SwitchLinear

from cptstudio.lm.embeddings import embedding_modules
from cptstudio.lm.parameters import named_modules, named_parameters
from cptstudio.run_files import ParameterRule

Kind = Literal["matrix", "embedding", "vector", "constant"]

_CONSTANTS = frozenset(
    {
        "e_score_correction_bias", "expert_bias", "router_bias", "inv_freq", "running_mean",
        "running_var", "num_batches_tracked", "layer_scalar", "quant_key_scale",
        "quant_value_scale", "weight_scale", "signs",
    }
)  # fmt: skip
_CONSTANTS_OF = {"XieLU": frozenset({"beta", "eps"})}
"""By the class that holds them, because their names alone say too little."""

_WITHOUT_GRADIENT = frozenset({"Indexer"})
"""Classes whose every parameter is a constant to the model's own loss."""

_MATRICES = frozenset({"input_gate_weight", "recurrent_gate_weight", "fn", "lora_a", "lora_b"})
"""Linear maps that are arrays of a module of an architecture's own, or of an adapter."""
_ROUTERS = ("Gate", "Router")
"""Ends of the names of classes whose `weight` is a linear map to the experts."""

_FORMER_CONSTANTS = frozenset(
    {
        "inv_freq", "e_score_correction_bias", "expert_bias", "running_mean", "running_var",
        "num_batches_tracked",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Treatment:
    """How an optimizer updates a parameter.

    Attributes:
        decayed: weight decay applies to it.
        muon: where Muon is chosen, it orthogonalizes the update.
    """

    decayed: bool
    muon: bool


_TREATMENTS: dict[Kind, Treatment] = {
    "matrix": Treatment(decayed=True, muon=True),
    "embedding": Treatment(decayed=False, muon=False),
    "vector": Treatment(decayed=False, muon=False),
    "constant": Treatment(decayed=False, muon=False),
}


def parameter_kinds(model: Module) -> dict[str, Kind]:
    """Return what each parameter of a network is, plain or with adapters on it, by name."""
    modules = named_modules(model)
    heads = embedding_modules(model)
    unreached = tuple(
        f"{path}." for path, one in modules.items() if type(one).__name__ in _WITHOUT_GRADIENT
    )
    kinds: dict[str, Kind] = {}
    for name, value in named_parameters(model).items():
        if name.startswith(unreached):
            kinds[name] = "constant"
            continue
        path, _, leaf = name.rpartition(".")
        while path not in modules:
            # An array in a list of arrays: the list's name tells.
            path, _, leaf = path.rpartition(".")
        kinds[name] = _kind(modules[path], leaf, value, head=path in heads)
    return kinds


def _kind(module: Module, leaf: str, value: mx.array, *, head: bool) -> Kind:
    owner = type(module).__name__
    if leaf in _CONSTANTS or leaf in _CONSTANTS_OF.get(owner, ()):
        return "constant"
    if isinstance(module, Embedding) or leaf == "lm_head" or (head and value.ndim > 1):
        return "embedding"
    if isinstance(module, (Linear, SwitchLinear, MultiLinear)):
        return "matrix" if leaf == "weight" else "vector"
    if leaf in _MATRICES or (leaf == "weight" and owner.endswith(_ROUTERS)):
        return "matrix" if value.ndim > 1 else "vector"
    return "vector"


def treatments(
    kinds: Mapping[str, Kind],
    parameters: Mapping[str, mx.array],
    rule: ParameterRule,
    tables: Collection[str],
) -> dict[str, Treatment]:
    """Return how each trained parameter is updated, by name.

    Args:
        rule: "kinds", or "axes" for runs that were prepared before there were kinds: then the
            number of axes decides, except for embeddings.
        tables: the token embedding and the output head.
    """
    if rule == "kinds":
        return {name: _TREATMENTS[kinds[name]] for name in parameters}
    return {
        name: Treatment(
            decayed=name not in tables and value.ndim > 1,
            muon=name not in tables and value.ndim == 2,
        )
        for name, value in parameters.items()
    }


def constants(kinds: Mapping[str, Kind], rule: ParameterRule) -> list[str]:
    """Return the names of the parameters that full training leaves alone."""
    if rule == "kinds":
        return [name for name, kind in kinds.items() if kind == "constant"]
    return [name for name in kinds if name.rpartition(".")[2] in _FORMER_CONSTANTS]
