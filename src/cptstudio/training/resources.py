"""How much memory and disk a run will take, from the model's configuration alone.

Activations are counted after what one decoder layer keeps for its gradient: about nine arrays
as wide as the model and four as wide as the feed-forward part, for each token. It is an
estimate; a calibration on the machine measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cptstudio.lm.description import ModelDescription, read_model_config, read_tensors
from cptstudio.settings import TrainingSettings

MODEL_WIDE_ARRAYS = 9
FEED_FORWARD_WIDE_ARRAYS = 4
LOGIT_CHUNKS_BYTES = 3 * 48 * 2**20
_STATE_BYTES = {"adamw": 8, "muon": 8, "lion": 4, "sgd": 4, "adafactor": 0}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of memory a training step needs.

    Attributes:
        weights: all parameters, and their copies in the type of the computation.
        gradients: of the trained parameters.
        optimizer: its state.
        activations: kept for the gradients, and logits.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """The sum."""
        return self.weights + self.gradients + self.optimizer + self.activations


def trained_parameters(model: ModelDescription, settings: TrainingSettings) -> int:
    """Number of parameters that the method trains."""
    if settings.method.kind == "full":
        return model.parameters
    rank = settings.method.rank
    shapes = [
        tensor.shape
        for name, tensor in read_tensors(model.path).items()
        if len(tensor.shape) >= 2 and name.endswith("weight") and not _is_embedding(name)
    ]
    adapters = sum(
        math.prod(shape[:-2]) * rank * (shape[-2] + shape[-1] * _packing(model)) for shape in shapes
    )
    if settings.method.train_embeddings:
        adapters += embedding_parameters(model)
    return adapters


def embedding_parameters(model: ModelDescription) -> int:
    """Number of parameters of embedding and head."""
    width = _sizes(model)["hidden"]
    return (model.vocabulary_size or 0) * width * (1 if model.tied_embeddings else 2)


def _is_embedding(name: str) -> bool:
    return any(part in name for part in ("embed", "lm_head", "wte", "wpe"))


def _packing(model: ModelDescription) -> int:
    quantization = model.quantization
    return 32 // quantization.bits if quantization and quantization.bits else 1


def estimate_memory(
    model: ModelDescription, settings: TrainingSettings, compute_bytes: int
) -> MemoryEstimate:
    """Memory of a step.

    Args:
        model: the base model.
        settings: with method, rows and context length set.
        compute_bytes: of a number in the computation: 4 for float32, 2 for bfloat16.
    """
    trained = trained_parameters(model, settings)
    copies = 0 if compute_bytes == 4 else compute_bytes * trained
    if settings.method.kind == "full":
        weights = 4 * trained + copies
    else:
        base = model.bytes if model.quantization else compute_bytes * model.parameters
        weights = base + 4 * trained + copies
    return MemoryEstimate(
        weights=weights,
        gradients=4 * trained * (2 if settings.batch.accumulation > 1 else 1),
        optimizer=_STATE_BYTES[settings.optimizer.name] * trained,
        activations=_activations(model, settings, compute_bytes),
    )


def _activations(model: ModelDescription, settings: TrainingSettings, compute_bytes: int) -> int:
    sizes = _sizes(model)
    tokens = settings.batch.rows * (settings.data.context_length or 0)
    layer = MODEL_WIDE_ARRAYS * sizes["hidden"] + FEED_FORWARD_WIDE_ARRAYS * sizes["feed_forward"]
    layers = sizes["layers"]
    if settings.compute.gradient_checkpointing:
        kept = layers * sizes["hidden"] + layer
    else:
        kept = layers * layer
    return tokens * kept * compute_bytes + LOGIT_CHUNKS_BYTES


def _sizes(model: ModelDescription) -> dict[str, int]:
    config = read_model_config(model.path)
    inner = config.get("text_config")
    text: Mapping[str, Any] = inner if isinstance(inner, dict) else config

    def first(names: tuple[str, ...], default: int) -> int:
        return next((text[name] for name in names if isinstance(text.get(name), int)), default)

    hidden = first(("hidden_size", "n_embd", "d_model", "dim"), 0)
    return {
        "hidden": hidden,
        "layers": first(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1),
        "feed_forward": first(("intermediate_size", "n_inner", "ffn_dim", "d_inner"), 4 * hidden),
    }


def checkpoint_bytes(model: ModelDescription, settings: TrainingSettings) -> int:
    """Bytes of one checkpoint on disk."""
    trained = trained_parameters(model, settings)
    state = (4 + _STATE_BYTES[settings.optimizer.name]) * trained
    stored = {"float32": 4}.get(model.dtype, 2)
    if settings.method.kind == "full":
        return state + (0 if stored == 4 else stored * model.parameters)
    if settings.method.train_embeddings:
        return state + stored * model.parameters
    return state
