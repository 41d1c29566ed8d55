"""Speed of one training step against mlx-lm's own, with the same BLAS and the same model.

    python -m benchmarks.step_speed            # all configurations, about half an hour
    python -m benchmarks.step_speed --quick    # one configuration, a minute
    python -m benchmarks.step_speed --only full,8192,512 --only full,151936,512 --page

Each configuration runs in a process of its own. The two steps take turns in it, so that other load
on the machine meets both alike; medians are reported, with the processor time beside the wall time.
Both steps include the optimizer (AdamW); packing, loading and logging are left out. Tokens per
second are trained tokens.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.markdown import replace_part, table

CONFIGURATIONS = [
    (vocabulary, context, method)
    for method in ("full", "lora")
    for vocabulary, context in ((8192, 256), (8192, 512), (8192, 2048), (32768, 512), (151936, 512))
]
QUICK = [(8192, 256, "full")]
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
ROWS = 4
LAYERS, WIDTH, INNER, HEADS, HEAD_SIZE = 8, 320, 1024, 5, 64


@dataclass
class Timing:
    """Medians of one step: seconds, processor seconds, and the peak of mlx's memory in bytes."""

    wall: float
    processor: float
    peak_bytes: int


@dataclass
class Result:
    """One configuration: both steps, the operations that the model needs, and parts of our step.

    `peak_gflops` is the speed of large products on all cores, `core_gflops` that on one, for each
    second of processor time: other load on the machine disturbs the first, and hardly the second.
    `products_seconds` is the processor time of the step's products of matrices, each on its own.
    """

    vocabulary: int
    context: int
    method: str
    gflop: float
    peak_gflops: float
    core_gflops: float
    stock: Timing
    ours: Timing
    products_seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Trained tokens of a step."""
        return ROWS * self.context


def build_model(vocabulary: int, method: str) -> Any:
    """A Qwen3 with random weights; 13.8M parameters at a vocabulary of 8,192."""
    import mlx.core as mx
    from mlx_lm.models import qwen3
    from mlx_lm.tuner.utils import linear_to_lora_layers

    mx.random.seed(0)
    model = qwen3.Model(
        qwen3.ModelArgs(
            model_type="qwen3",
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            intermediate_size=INNER,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=HEAD_SIZE,
            rms_norm_eps=1e-6,
            vocab_size=vocabulary,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            rope_theta=1e4,
        )
    )
    if method == "lora":
        model.freeze()
        linear_to_lora_layers(model, LAYERS, {"rank": 64, "dropout": 0.0, "scale": 1.0})
    model.train()
    mx.eval(model.parameters())
    return model


def operations(vocabulary: int, context: int, method: str) -> float:
    """Floating-point operations that a step needs.

    A weight of a matrix costs 2 operations for each token forward, 2 for the gradient of its input,
    and 2 for its own where it is trained. Attention: 2 products forward and 4 backward over the
    positions that a query may see. Embedding look-ups, norms and activations are not counted, nor
    what a program computes in vain.
    """
    tokens = ROWS * context
    matrices = LAYERS * (4 * WIDTH * HEADS * HEAD_SIZE + 3 * WIDTH * INNER) + vocabulary * WIDTH
    attention = 12 * LAYERS * HEADS * HEAD_SIZE * (context + 1) / 2
    if method == "full":
        return float(tokens * (6 * matrices + attention))
    adapters = LAYERS * 64 * (4 * (WIDTH + HEADS * HEAD_SIZE) + 3 * (WIDTH + INNER))
    return float(tokens * (4 * matrices + 6 * adapters + attention))


def stock_step(model: Any) -> Callable[[Any, Any], None]:
    """A step as `mlx_lm.tuner.trainer.train` makes it."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers
    from mlx_lm.tuner.trainer import default_loss

    optimizer = mlx.optimizers.AdamW(1e-5)
    differentiate = nn.value_and_grad(model, default_loss)
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(batch: Any, lengths: Any) -> Any:
        (loss, tokens), gradients = differentiate(model, batch, lengths)
        optimizer.update(model, gradients)
        return loss, tokens

    def run(inputs: Any, targets: Any) -> None:
        rows, length = inputs.shape
        batch = mx.concatenate([mx.array(inputs), mx.array(targets[:, -1:])], axis=1)
        loss, tokens = step(batch, mx.array([[0, length]] * rows))
        mx.eval(state, loss, tokens)

    return run


def our_step(model: Any) -> tuple[Callable[[Any, Any], None], Callable[[], None]]:
    """A step as the training loop makes it, and its gradients' update alone."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from cptstudio.lm.compilation import prepare_compilation
    from cptstudio.lm.gradients import GradientStep
    from cptstudio.settings import OptimizerSettings
    from cptstudio.training.optimizers import Optimizer, TrainedParameters, clip_factor

    step = GradientStep(model)
    parameters = TrainedParameters(model)
    settings = OptimizerSettings(learning_rate=1e-5)
    optimizer = Optimizer(parameters, settings, compile=prepare_compilation())

    def apply(gradients: dict[str, Any], count: int) -> None:
        scale = clip_factor(optimizer.gradient_norm(gradients) / count, 1.0) / count
        optimizer.update(parameters, gradients, rate=1.0, scale=scale)
        mx.eval(*parameters.values(), *optimizer.state().values())

    def run(inputs: Any, targets: Any) -> None:
        nats, count, tree = step(inputs, targets)
        gradients: dict[str, Any] = dict(tree_flatten(tree))
        del tree
        mx.eval(nats, *gradients.values())
        apply(gradients, count)

    def update_alone() -> None:
        gradients = {name: mx.ones_like(value) for name, value in parameters.items()}
        mx.eval(*gradients.values())
        apply(gradients, 1)

    return run, update_alone


def measure(configuration: tuple[int, int, str], rounds: int) -> Result:
    """Time both steps in turns."""
    import mlx.core as mx
    import numpy as np

    from cptstudio.lm import blas

    vocabulary, context, method = configuration
    cores = blas.usable_cores()
    blas.use_fast_blas(cores)
    random = np.random.default_rng(0)
    tokens = random.integers(0, vocabulary, (ROWS, context + 1), dtype=np.int32)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    stock = stock_step(build_model(vocabulary, method))
    ours, update_alone = our_step(build_model(vocabulary, method))
    samples: dict[str, list[Timing]] = {"stock": [], "ours": []}
    peaks: list[float] = []
    core_peaks: list[float] = []
    # Only our step sets the threads of BLAS; what it leaves must not slow the other down.
    for turn in range(rounds + 1):
        blas.set_blas_threads(cores)
        peaks.append(blas.measure_gflops(1024, 0.3))
        blas.set_blas_threads(1)
        core_peaks.append(core_speed())
        for name, step in (("stock", stock), ("ours", ours)):
            blas.set_blas_threads(cores)
            timing = timed(partial(step, inputs, targets))
            if turn:
                samples[name].append(timing)
    results = {name: median(timings) for name, timings in samples.items()}
    blas.set_blas_threads(1)
    parts = breakdown(vocabulary, context, method)
    parts["optimizer"] = median([timed(update_alone) for _ in range(3)]).processor
    mx.clear_cache()
    gflop = operations(*configuration) / 1e9
    speeds = (gflop, max(peaks), max(core_peaks))
    alone = products_alone(vocabulary, context, method)
    return Result(*configuration, *speeds, results["stock"], results["ours"], alone, parts)


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


def core_speed(size: int = 1024) -> float:
    """Float32 operations of a product for each second of processor time, in 1e9, on one core."""
    import mlx.core as mx

    left, right = mx.random.normal((2, size, size))
    mx.eval(left, right)
    products = [timed(lambda: mx.eval(left @ right)).processor for _ in range(10)]
    return 2 * size**3 / min(products) / 1e9


def timed(step: Callable[[], Any]) -> Timing:
    """Run a step once."""
    import mlx.core as mx

    mx.reset_peak_memory()
    wall, processor = time.perf_counter(), time.process_time()
    step()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return Timing(wall, processor, mx.get_peak_memory())


def median(timings: list[Timing]) -> Timing:
    """Medians of times, and the highest peak of memory."""
    return Timing(
        statistics.median(timing.wall for timing in timings),
        statistics.median(timing.processor for timing in timings),
        max(timing.peak_bytes for timing in timings),
    )


def breakdown(vocabulary: int, context: int, method: str) -> dict[str, float]:
    """Processor seconds of the parts of our step, forward and backward, each on its own."""
    import mlx.core as mx
    import mlx.nn as nn

    from cptstudio.lm import cpu_attention, cpu_kernels, cpu_layers
    from cptstudio.lm.loss import OutputHead, head_nats

    tokens = ROWS * context
    wide = mx.random.normal((ROWS, context, INNER))
    narrow = mx.random.normal((ROWS, context, WIDTH))
    heads = mx.random.normal((ROWS, HEADS, context, HEAD_SIZE))
    holder = nn.Module()
    holder.embed_tokens = nn.Embedding(vocabulary, WIDTH)
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


def speed_table(results: list[Result]) -> str:
    """One line for each configuration."""
    head = [
        "method, vocabulary, context",
        "mlx-lm, tokens/s",
        "here, tokens/s",
        "ratio",
        "ratio of processor time",
        "mlx-lm, peak MB",
        "here, peak MB",
        "GFLOP a step",
        "share of all cores' peak",
        "the same by processor time",
        "its products alone",
    ]
    rows = []
    for one in results:
        speeds = [one.tokens / timing.wall for timing in (one.stock, one.ours)]
        rows.append(
            [
                f"{one.method}, {one.vocabulary}, {ROWS} x {one.context}",
                *(f"{speed:.0f}" for speed in speeds),
                f"{speeds[1] / speeds[0]:.2f}",
                f"{one.stock.processor / one.ours.processor:.2f}",
                f"{one.stock.peak_bytes / 1e6:.0f}",
                f"{one.ours.peak_bytes / 1e6:.0f}",
                f"{one.gflop:.0f}",
                f"{one.gflop / one.ours.wall / one.peak_gflops:.0%}",
                f"{one.gflop / one.ours.processor / one.core_gflops:.0%}",
                f"{one.gflop / one.products_seconds / one.core_gflops:.0%}"
                if one.method == "full"
                else "-",
            ]
        )
    return table(head, rows)


def parts_table(results: list[Result]) -> str:
    """Processor seconds of the parts of our step."""
    names = list(results[0].parts)
    rows = []
    for one in results:
        rest = one.ours.processor - sum(one.parts.values())
        rows.append(
            [
                f"{one.method}, {one.vocabulary}, {ROWS} x {one.context}",
                f"{one.ours.processor:.2f}",
                *(f"{one.parts[name]:.3f}" for name in names),
                f"{rest:.3f}",
            ]
        )
    return table(["processor seconds of a step", "all", *names, "rest"], rows)


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one configuration, two rounds")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each kind that are timed")
    parser.add_argument(
        "--only", action="append", metavar="METHOD,VOCABULARY,CONTEXT", help="this configuration"
    )
    parser.add_argument("--page", action="store_true", help="put the tables into docs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else CONFIGURATIONS
    if arguments.only:
        asked = [text.split(",") for text in arguments.only]
        chosen = [(int(words), int(length), method) for method, words, length in asked]
    rounds = 2 if arguments.quick else arguments.rounds
    results: list[Result] = []
    context = multiprocessing.get_context("spawn")
    for configuration in chosen:
        with context.Pool(1) as pool:
            results.append(pool.apply(measure, (configuration, rounds)))
        print(f"{configuration}: done", flush=True)
    everything, core = (max(getattr(r, f"{n}_gflops") for r in results) for n in ("peak", "core"))
    text = f"""{speed_table(results)}

{parts_table(results)}

Float32 products: {everything:.0f} GFLOP/s in all, {core:.0f} for a second of a core. Medians of
{rounds} steps of each kind. Waiting BLAS threads count as processor time of mlx-lm's step, which
uses one a core."""
    print(f"\n{text}")
    if arguments.page:
        replace_part(PAGE, "step_speed", text)
    if arguments.json:
        text = json.dumps([asdict(result) for result in results], indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
