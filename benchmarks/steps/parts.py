"""What the parts of a step take, each on its own: where the time that is not in products goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.steps.model import HEAD_SIZE, HEADS, INNER, LAYERS, ROWS, WIDTH
from benchmarks.steps.timing import median, timed


def products_alone(vocabulary: int, context: int, method: str) -> float:
    """Processor seconds of the products that a step needs, in the shapes it has on each stream.

    What a step takes beyond them is the price of all else. The adapters of LoRA are left out.
    """
    import mlx.core as mx

    tokens = ROWS * context // 2
    attention = context // 2
    head = min(tokens, (48 << 20) // (4 * vocabulary))
    shapes = [
        (2 * 4 * LAYERS, tokens, WIDTH, WIDTH, method == "full"),
        (2 * 3 * LAYERS, tokens, WIDTH, INNER, method == "full"),
        (2 * tokens // head, head, WIDTH, vocabulary, method == "full"),
        # Queries times keys and exponentials times values: two products, each with two gradients.
        (2 * ROWS * HEADS * LAYERS, context, HEAD_SIZE, attention, True),
    ]
    seconds = 0.0
    for count, rows, inner, columns, trained in shapes:
        x, weight = mx.random.normal((rows, inner)), mx.random.normal((columns, inner))
        y = mx.random.normal((rows, columns))
        mx.eval(x, weight, y)
        products = [partial(_product, x, weight.T), partial(_product, y, weight)]
        products += [partial(_product, y.T, x)] * trained
        for product in products:
            product()
            seconds += count * median([timed(product) for _ in range(5)]).processor
    return seconds


def _product(left: Any, right: Any) -> None:
    import mlx.core as mx

    mx.eval(left @ right)


def breakdown(vocabulary: int, context: int, method: str) -> dict[str, float]:
    """Processor seconds of the parts of our step, forward and backward, each on its own."""
    import mlx.core as mx
    from mlx.nn.layers.base import Module
    from mlx.nn.layers.embedding import Embedding

    from cptstudio.lm import cpu_attention, cpu_kernels, cpu_layers
    from cptstudio.lm.loss import head_nats
    from cptstudio.lm.output_head import OutputHead

    tokens = ROWS * context
    wide = mx.random.normal((ROWS, context, INNER))
    narrow = mx.random.normal((ROWS, context, WIDTH))
    heads = mx.random.normal((ROWS, HEADS, context, HEAD_SIZE))
    holder = Module()  # type: ignore[no-untyped-call]
    holder.embed_tokens = Embedding(vocabulary, WIDTH)
    head = OutputHead("embed_tokens", True)
    matrix = holder.embed_tokens.weight
    targets = mx.random.randint(0, vocabulary, (tokens,))
    mx.eval(wide, narrow, heads, matrix, targets)

    def loss(hidden: Any, matrix: Any) -> Any:
        if method == "full":
            holder.embed_tokens.weight = matrix
        else:
            holder.freeze()
        return head_nats(holder, head, hidden, targets, None)

    def rope(x: Any) -> Any:
        return cpu_layers.rope(x, HEAD_SIZE, traditional=False, base=1e4, scale=1.0, offset=0)

    def attention(queries: Any, keys: Any, values: Any) -> Any:
        return cpu_attention.causal_attention(queries, keys, values, 0.125)

    def normalise(x: Any, weight: Any) -> Any:
        return cpu_layers.rms_norm(x, weight, 1e-6)

    def layer_product(x: Any, weight: Any) -> Any:
        return x @ weight.T

    square, up = mx.random.normal((WIDTH, WIDTH)), mx.random.normal((INNER, WIDTH))
    pieces: list[tuple[str, int, Callable[..., Any], list[Any]]] = [
        ("head and loss", 1, loss, [narrow.reshape(tokens, WIDTH), matrix]),
        ("attention", LAYERS, attention, [heads, heads, heads]),
        ("attention's linear layers", 4 * LAYERS, layer_product, [narrow, square]),
        ("mlp's linear layers", 3 * LAYERS, layer_product, [narrow, up]),
        ("swiglu", LAYERS, cpu_kernels.swiglu, [wide, wide]),
        ("norms", 2 * LAYERS, normalise, [narrow, mx.ones(WIDTH)]),
        ("head norms", 2 * LAYERS, normalise, [heads, mx.ones(HEAD_SIZE)]),
        ("rotary embeddings", 2 * LAYERS, rope, [heads]),
    ]
    found = {}
    for name, count, function, inputs in pieces:
        mx.eval(inputs)
        run = partial(_both_ways, function, inputs)
        run()
        found[name] = count * median([timed(run) for _ in range(3)]).processor
    return found


def _both_ways(function: Callable[..., Any], inputs: list[Any]) -> None:
    import mlx.core as mx

    cotangent = mx.ones(function(*inputs).shape)
    mx.eval(mx.vjp(function, inputs, [cotangent]))
