"""How much memory and disk a run will take, from the network's shapes and the configuration.

A step is largest at one of two moments. At the end of the backward pass there are the
activations, and as many gradients of them: MLX computes the gradients of the weights last, and
what they need waits. At the update there are the gradients of the weights, a set for each CPU
stream, and the arrays that the optimizer makes on its way. The constants below were fitted to
measured peaks by `python -m benchmarks.plan_memory`; docs/planning.md says how well. They were
measured on a CPU; on a GPU the same are used, with one stream and without attention's
probabilities, which its fused kernel keeps for one layer at a time.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Final, Literal

from cptstudio.errors import UserError
from cptstudio.lm.attention_blocks import FUSED_SIZES, Tiles, gpu_worked_on
from cptstudio.lm.config_section import language_model
from cptstudio.lm.description import ModelDescription, read_model_config
from cptstudio.lm.network_facts import SIZES, NetworkFacts
from cptstudio.lm.step_reader import read_step_bytes
from cptstudio.lm.streams import most_streams
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.settings import TrainingSettings
from cptstudio.training.machine import Machine

log = logging.getLogger(__name__)

# For each token and layer, arrays as wide as the named part that exist at the end.
HIDDEN_ARRAYS = 5.1
FEED_FORWARD_ARRAYS = 3.5
QUERY_ARRAYS = 3.0
KEY_ARRAYS = 4.8
PROBABILITY_ARRAYS = 0.96
"""Of the causal half of attention's probabilities."""
WORKING_LAYERS = 1.0
"""What is needed in passing, as a number of layers."""
RECOMPUTED_LAYERS = 1.7
"""The same with gradient checkpointing, with the layer that is computed again."""
DORA_ARRAYS = 1.1
"""As wide as the outputs of the linear layers, where their magnitudes are trained."""

# For each stream, arrays like the head's trained matrix, and arrays of all logits: on a CPU some
# tiles of them at most and, where the head is trained, a part of a chunk; on a GPU some chunks.
HEAD_ARRAYS = 0.7
TILES = 4.0
KEPT_CHUNKS = 0.6
LOGIT_ARRAYS = 2.0
CHUNKS = 5.5
TILE_BYTES, MOST_TOKENS = 8 * 2**20, 1024
"""As in `cptstudio.lm.cpu_head`, which imports MLX and so cannot be asked here."""
CHUNK_BYTES = {"cpu": 48 * 2**20, "gpu": 256 * 2**20}
"""As in `cptstudio.lm.loss`."""

SIDE_BY_SIDE = 1.07
"""Of a graph's peak: what runs side by side takes more than one walk through the graph sees."""

UPDATE_ARRAYS = 3.0
UPDATE_WEIGHTS = 10_500_000
"""Weights whose update is under way at once: two or three chunks of the optimizer."""

PASSING_WHOLE, AGAIN_WHOLE = 2.6, 3.7
"""Of one layer's scores, where no fused kernel knows attention's gradient: what is needed in
passing, and that with gradient checkpointing."""

ATTENTION_BLOCK, MOST_BLOCKS = 128, 8
"""As in `cptstudio.lm.cpu_attention`, which imports MLX."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of memory that MLX's arrays take in a training step at most.

    Attributes:
        weights: all parameters, and their copies in the type of the computation.
        accumulated: gradients of the micro-batches before, where there are several.
        backward: activations, their gradients and logits at the end of the backward pass.
        update: gradients of the trained parameters, and what the optimizer makes on its way.
    """

    weights: int
    optimizer: int
    accumulated: int
    backward: int
    update: int

    @property
    def total(self) -> int:
        """The peak: `backward` and `update` do not come together."""
        return self.weights + self.optimizer + self.accumulated + max(self.backward, self.update)


def compute_dtype(settings: TrainingSettings, machine: Machine) -> str:
    """Type of the computation: bfloat16 on a GPU, float32 on a CPU."""
    if settings.compute.dtype != "auto":
        return settings.compute.dtype
    return "float32" if machine.accelerator == "cpu" else "bfloat16"


def trained_parameters(network: NetworkFacts, settings: TrainingSettings) -> int:
    """Return the number of parameters that the method trains."""
    return network.trained(settings.method).total


def state_bytes(network: NetworkFacts, settings: TrainingSettings) -> int:
    """Return the bytes of the optimizer's state."""
    trained = network.trained(settings.method)
    return OPTIMIZERS[settings.optimizer.name].state_bytes(trained.matrices, trained.others)


def weight_bytes(network: NetworkFacts, settings: TrainingSettings) -> int:
    """Bytes of all parameters: masters in float32, and copies in the type of the computation."""
    trained, dtype = trained_parameters(network, settings), settings.compute.dtype
    copies = 0 if dtype == "float32" else SIZES[dtype] * trained
    if settings.method.kind == "full":
        return 4 * network.parameters + copies
    return network.frozen_bytes(settings.method, dtype) + 4 * trained + copies


def estimate_memory(
    model: ModelDescription, network: NetworkFacts, settings: TrainingSettings, machine: Machine
) -> MemoryEstimate:
    """Return the memory of a step.

    Args:
        network: the model's.
        settings: with method, rows, context length and threads set.
    """
    # Runs that no plan was made for leave it to the machine.
    dtype = compute_dtype(settings, machine)
    compute = settings.compute.model_copy(update={"dtype": dtype})
    settings = settings.model_copy(update={"compute": compute})
    trained = trained_parameters(network, settings)
    number = 4 if settings.compute.dtype == "float32" else 2
    on_cpu = machine.accelerator == "cpu"
    streams = _streams(trained, settings, machine)
    sizes = _sizes(model)
    found = None
    if not _is_plain(sizes, network, settings.data.sequence_length or 0):
        found = _by_its_graph(model, settings, on_cpu, streams)
    if found is not None:
        kept, passing = found
        # A graph of the gradients has the copies of what is trained in it, too.
        moved, part = (0 if number == 4 else number * trained), SIDE_BY_SIDE
    else:
        kept, passing = (number * one for one in _activations(sizes, settings, on_cpu))
        passing += _blocks(sizes, settings, streams, on_cpu, number)
        moved, part = 0, 1.0
    logits, matrices = _head(model, settings, streams, on_cpu)
    if settings.compute.gradient_checkpointing:
        # The logits are gone before a layer is computed again; gradients come layer by layer.
        passing = max(logits, passing + 4 * streams * trained) + moved
    else:
        passing += logits
    return MemoryEstimate(
        weights=weight_bytes(network, settings) - moved,
        optimizer=state_bytes(network, settings),
        accumulated=_accumulated_bytes(trained, settings),
        backward=int(part * (kept + passing + matrices)),
        update=_update_bytes(trained, streams) + moved,
    )


def least_memory(
    network: NetworkFacts, settings: TrainingSettings, machine: Machine
) -> MemoryEstimate:
    """Return the memory of a step without its activations, for which no graph is asked."""
    trained = trained_parameters(network, settings)
    return MemoryEstimate(
        weights=weight_bytes(network, settings),
        optimizer=state_bytes(network, settings),
        accumulated=_accumulated_bytes(trained, settings),
        backward=0,
        update=_update_bytes(trained, _streams(trained, settings, machine)),
    )


def _streams(trained: int, settings: TrainingSettings, machine: Machine) -> int:
    """On how many CPU streams a step is computed, as `lm.gradients` shares rows out."""
    if machine.accelerator != "cpu":
        return 1
    threads = settings.compute.threads or machine.cores
    return min(most_streams(threads, 4 * trained, machine.memory), settings.batch.cut[0])


def _accumulated_bytes(trained: int, settings: TrainingSettings) -> int:
    return 4 * trained if settings.batch.cut[1] > 1 else 0


def _update_bytes(trained: int, streams: int) -> int:
    return int(4 * (streams * trained + UPDATE_ARRAYS * min(trained, UPDATE_WEIGHTS)))


def _by_its_graph(
    model: ModelDescription, settings: TrainingSettings, on_cpu: bool, streams: int
) -> tuple[float, float] | None:
    """Bytes kept and needed in passing, by the network's own graph; None where it is not known."""
    request = {
        "trust_remote_code": settings.model.trust_remote_code,
        "method": settings.method.model_dump(exclude={"alpha", "embedding_learning_rate"}),
        "rows": settings.batch.cut[0],
        "length": settings.data.sequence_length,
        "streams": streams,
        "dtype": settings.compute.dtype,
        "gpu": not on_cpu,
        "checkpointing": bool(settings.compute.gradient_checkpointing),
        "long_attention": bool(settings.compute.long_attention),
    }
    try:
        step = read_step_bytes(model.path, request)
    except UserError as error:
        log.warning("%s: the graph of its step is not known: %s", model.path, error)
        return None
    return step["kept"], step["passing"]


@dataclass(frozen=True)
class _Sizes:
    """Widths of a model's parts; for a mixture of experts those that one token meets.

    Attributes:
        window: tokens that attention looks back over at most.
    """

    hidden: int
    layers: int
    feed_forward: int
    heads: int
    queries: int
    keys: int
    window: float

    @property
    def head_size(self) -> int:
        """Width of a head of attention."""
        return self.queries // self.heads if self.heads else 0


def _is_plain(sizes: _Sizes, network: NetworkFacts, context: int) -> bool:
    """Whether all blocks are made of what the constants were fitted to, and of nothing else.

    That is attention to all that came before, and a feed-forward part, of the widths that the
    configuration says.
    """
    if sizes.window < context or network.attentions != network.blocks:
        return False
    outputs = [0] * network.blocks
    for layer in network.linears:
        if len(layer.shape) != 2:
            return False
        for block in layer.blocks:
            outputs[block] += layer.shape[0]
    attention = sizes.queries + 2 * sizes.keys + sizes.hidden
    gated = {attention + parts * sizes.feed_forward + sizes.hidden for parts in (1, 2)}
    return all(width in gated for width in outputs)


def _activations(sizes: _Sizes, settings: TrainingSettings, on_cpu: bool) -> tuple[float, float]:
    """How many numbers exist at the end of the backward pass, and are needed in passing."""
    context = settings.data.sequence_length or 0
    tokens = settings.batch.cut[0] * context
    layer = (
        HIDDEN_ARRAYS * sizes.hidden
        + FEED_FORWARD_ARRAYS * sizes.feed_forward
        + QUERY_ARRAYS * sizes.queries
        + KEY_ARRAYS * sizes.keys
    )
    if settings.method.kind == "dora":
        layer += DORA_ARRAYS * (
            2 * sizes.hidden + 2 * sizes.feed_forward + sizes.queries + 2 * sizes.keys
        )
    again = probabilities = 0.0
    if attention_of(sizes.head_size, settings, on_cpu) == "whole":
        probabilities = sizes.heads * context
        again = AGAIN_WHOLE * probabilities
        if on_cpu:
            seen = (context + max(ATTENTION_BLOCK, context / MOST_BLOCKS)) / 2
            probabilities = PROBABILITY_ARRAYS * sizes.heads * seen
            again = RECOMPUTED_LAYERS * probabilities
    if settings.compute.gradient_checkpointing:
        # The inputs of the layers, and one layer that is computed again.
        again += RECOMPUTED_LAYERS * layer
        return tokens * sizes.layers * sizes.hidden, tokens * again
    layer += probabilities
    passing = WORKING_LAYERS * layer + (0 if on_cpu else (PASSING_WHOLE - 1) * probabilities)
    return tokens * sizes.layers * layer, tokens * passing


Attention = Literal["fused", "blocks", "whole"]
ATTENTION_TITLES: Final[dict[Attention, str]] = {
    "fused": "fused kernel, no score matrix",
    "blocks": "in blocks, computed again for the gradient",
    "whole": "full score matrix, grows with the square of the sequence length",
}


def planned_attention(
    model: ModelDescription, network: NetworkFacts, settings: TrainingSettings, machine: Machine
) -> Attention | None:
    """Return how attention is computed by the plan; None where the network's graph tells memory."""
    sizes = _sizes(model)
    if not sizes.heads or not _is_plain(sizes, network, settings.data.sequence_length or 0):
        return None
    return attention_of(sizes.head_size, settings, machine.accelerator == "cpu")


def attention_of(head_size: int, settings: TrainingSettings, on_cpu: bool) -> Attention:
    """Return how causal attention is computed: what its memory depends on.

    That a GPU has fused kernels also for the gradient is assumed by the size of the heads.
    """
    if not on_cpu and head_size in FUSED_SIZES:
        return "fused"
    return "blocks" if settings.compute.long_attention else "whole"


def _blocks(
    sizes: _Sizes, settings: TrainingSettings, streams: int, on_cpu: bool, number: int
) -> float:
    """Bytes of the scores that attention in blocks works on at once."""
    context, rows = settings.data.sequence_length or 0, settings.batch.cut[0]
    if attention_of(sizes.head_size, settings, on_cpu) != "blocks" or not sizes.heads:
        return 0.0
    if not on_cpu:
        return gpu_worked_on(rows * sizes.heads, context, number)
    key_heads = max(1, sizes.keys // max(1, sizes.head_size))
    share = math.ceil(rows / streams) * key_heads
    return streams * Tiles(share, sizes.heads // key_heads, context).worked_on()


def _head(
    model: ModelDescription, settings: TrainingSettings, streams: int, on_cpu: bool
) -> tuple[float, float]:
    """Bytes of logits and of the head's gradient on all streams."""
    words = model.vocabulary_size or 0
    tokens = settings.batch.cut[0] * (settings.data.sequence_length or 0) / streams
    trained = settings.method.kind == "full" or settings.method.train_embeddings
    all_logits = 4 * words * tokens
    if on_cpu:
        chunk = min(CHUNK_BYTES["cpu"], 4 * words * min(tokens, MOST_TOKENS))
        most = TILES * min(TILE_BYTES, chunk) + (KEPT_CHUNKS * chunk if trained else 0)
    else:
        most = CHUNKS * CHUNK_BYTES["gpu"]
    logits = min(most, LOGIT_ARRAYS * all_logits)
    matrix = 4 * words * _sizes(model).hidden if trained else 0
    return streams * logits, streams * HEAD_ARRAYS * matrix


def _sizes(model: ModelDescription) -> _Sizes:
    text = language_model(read_model_config(model.path))

    def first(names: tuple[str, ...], default: int) -> int:
        return next((text[name] for name in names if isinstance(text.get(name), int)), default)

    hidden = first(("hidden_size", "n_embd", "d_model", "dim"), 0)
    heads = first(("num_attention_heads", "n_head", "n_heads"), 0)
    head = first(("head_dim",), hidden // heads if heads else 0)
    feed_forward = first(("intermediate_size", "n_inner", "ffn_dim", "d_inner"), 4 * hidden)
    experts = first(("num_experts_per_tok", "num_experts_per_token"), 0)
    if experts:
        feed_forward = experts * first(("moe_intermediate_size",), feed_forward)
    return _Sizes(
        hidden=hidden,
        layers=first(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1),
        feed_forward=feed_forward,
        heads=heads,
        queries=heads * head,
        keys=first(("num_key_value_heads",), heads) * head,
        window=first(("sliding_window",), 0) or math.inf,
    )


def checkpoint_bytes(network: NetworkFacts, settings: TrainingSettings) -> int:
    """Return the bytes of one checkpoint on disk."""
    state = 4 * trained_parameters(network, settings) + state_bytes(network, settings)
    if settings.method.kind == "full":
        # What the files store in float32 is not written twice.
        stored = network.storage
        return state + stored.bytes() - 4 * stored.numbers.get("float32", 0)
    if settings.method.train_embeddings:
        return state + network.storage.bytes()
    return state


def copy_bytes(network: NetworkFacts, settings: TrainingSettings) -> int | None:
    """Bytes held beside a step while a checkpoint is written; None where it is written at once."""
    method = settings.method
    # The sum of base and adapters is computed as it is written (`lm.saving`).
    if not settings.checkpoints.background or (method.kind != "full" and method.train_embeddings):
        return None
    return 4 * trained_parameters(network, settings) + state_bytes(network, settings)
