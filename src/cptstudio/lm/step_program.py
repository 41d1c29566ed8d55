"""Tells how much memory a step's activations and gradients take. Asked by `step_reader`.

    {"model": FOLDER, "trust_remote_code": false, "method": {...}, "rows": 4, "length": 2048,
     "streams": 2, "dtype": "float32", "gpu": false, "checkpointing": false,
     "long_attention": false}
    -> {"result": {"kept": ..., "passing": ...}}, or {"error": {...}}

`job_programs` says how it is spoken to.

The network is the one of `network_program`, with its weights unread.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.light_imports import leave_out_torch
from cptstudio.lm.fewer_layers import Measured, by_fewer_layers, one_of_each_layer

MOST_OPERATIONS = 60_000
"""In a graph that is built whole: two or three seconds."""
_SHORT = (32, 64, 96)
"""Lengths that a longer graph is foretold from, where a network makes operations for each token."""
_SIZES = ("rows", "length", "streams")
_by_length = set[str]()
"""Questions whose graphs have as many operations whatever the length."""
_GPU_WIDTH = 20
"""Operations side by side: MLX's own number, which `lm.cpu_kernels` changes on a CPU."""


def work(request: dict[str, Any], _: job_programs.Answer) -> dict[str, Any]:
    """Answer one request."""
    return step_bytes(request)


def step_bytes(request: dict[str, Any]) -> dict[str, int]:
    """Return the bytes of activations and gradients at their peak, without the output head's.

    Of these "kept" are there when the output head is computed, "passing" come afterwards: with
    gradient checkpointing the inputs of the layers, and a layer that is computed again.

    Raises:
        UserError: mlx-lm cannot load the model, or the method does not fit it.
    """
    import mlx.core as mx

    from cptstudio.lm.attention_blocks import described
    from cptstudio.lm.cpu_kernels import prepare_cpu
    from cptstudio.lm.graph_memory import peak_bytes
    from cptstudio.lm.loading import load_unread, unread_for_training
    from cptstudio.lm.methods import apply_method
    from cptstudio.lm.step_graph import gradient_graph, layer_graphs, on_a_gpu
    from cptstudio.settings import MethodSettings

    path, gpu = Path(request["model"]), bool(request["gpu"])
    dtype: mx.Dtype = getattr(mx, request["dtype"])
    method = MethodSettings.model_validate(request["method"])
    assert method.way is not None
    network = load_unread(path, trust_remote_code=request["trust_remote_code"])
    loaded = unread_for_training(path, network, method.way, dtype)
    apply_method(loaded, method)
    model: Any = loaded.model
    streams, rows, long = request["streams"], request["rows"], bool(request["long_attention"])
    prepare_cpu()
    width = _GPU_WIDTH if gpu else int(os.environ.get("MLX_BFS_MAX_WIDTH", _GPU_WIDTH))
    compute = None if dtype == mx.float32 else dtype

    def worked_on(shares: int) -> int:
        """Of attention, beside the graphs."""
        return shares * max((one(request["length"]) for one in described), default=0)

    described.clear()

    def whole(length: int) -> Measured:
        graph = gradient_graph(
            model, rows, length, streams=streams, compute_dtype=compute, long_attention=long
        )
        return Measured(peak_bytes(graph, width), graph.operations)

    def layer(length: int) -> Measured:
        share = -(-rows // streams)
        graphs = [one for one, _ in layer_graphs(model, share, length, long_attention=long)]
        most = max(peak_bytes(one, width) for one in graphs)
        return Measured(streams * most, max(one.operations for one in graphs))

    with on_a_gpu(gpu):
        length = request["length"]
        kind = json.dumps({name: request[name] for name in request if name not in _SIZES})
        if not request["checkpointing"]:
            kept = int(_at(lambda at: by_fewer_layers(model, lambda: whole(at)), length, kind))
            return {"kept": kept, "passing": worked_on(min(streams, rows))}
        layers = len(model.layers)
        with one_of_each_layer(model):
            short = layer_graphs(model, rows, _SHORT[0], long_attention=long)
            handed_on = max(kept for _, kept in short)
            passing = int(_at(layer, length, kind)) + worked_on(streams)
        return {"kept": layers * handed_on * length // _SHORT[0], "passing": passing}


def _at(measured_at: Callable[[int], Measured], length: int, kind: str) -> float:
    """The bytes at a length, foretold from short ones where the graph would be too large.

    Args:
        kind: of the question, whatever the size of a step.
    """
    first, second, third = _SHORT
    if length <= third or kind in _by_length:
        return measured_at(length).bytes
    low, middle = measured_at(first), measured_at(second)
    # Operations for each token: twice the tokens, nearly twice the operations.
    if middle.operations < 1.3 * low.operations:
        _by_length.add(kind)
        return measured_at(length).bytes
    if middle.operations * length / second < MOST_OPERATIONS:
        return measured_at(length).bytes
    return _parabola(low.bytes, middle.bytes, measured_at(third).bytes, length)


def _parabola(low: float, middle: float, high: float, length: int) -> float:
    first, second, _ = _SHORT
    # A parabola through the three: rows of memory grow with the length, attention with its square.
    slope, bend = (middle - low) / (second - first), (high - 2 * middle + low) / 2
    steps = (length - first) / (second - first)
    return low + slope * (length - first) + max(0.0, bend) * steps * (steps - 1)


def main() -> int:
    """Answer requests until there are no more."""
    leave_out_torch()

    def warm_up() -> None:
        import cptstudio.lm.step_graph  # noqa: F401

    return job_programs.answer_requests(work, warm_up)


if __name__ == "__main__":
    sys.exit(main())
