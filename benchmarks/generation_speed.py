"""Texts on a CPU, token by token: how much of the memory's speed they reach.

    python -m benchmarks.generation_speed MODEL          # some minutes; --page puts it into docs
    python -m benchmarks.generation_speed MODEL --rounds 1 --tokens 8

Each token multiplies one row with every matrix, so what bounds it is reading the weights. In turns,
so that other load meets all alike: STREAM's triad (a = b + 3 c, McCalpin) in numpy with one thread
and with one on each core, texts by the inference worker's code with products of one row forwarded
(`lm/gemv.py`), and the same without. Bytes a token are those of the weights in memory: float32 on a
CPU. The greedy texts of both ways must be the same tokens. Medians with their range.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.machine import processor_name
from benchmarks.peers.markdown import replace_part, table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
TRIAD_BYTES = 768 << 20
BLOCK = 1 << 14
PROMPT = "The standard library is a collection of modules that"


def triad(threads: int) -> float:
    """Bytes a second that `a = b + 3 c` reads and writes; numpy's passes meet in the cache."""
    size = TRIAD_BYTES // 3 // 4 // threads
    shares = [tuple(np.ones(size, np.float32) for _ in range(3)) for _ in range(threads)]

    def work(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
        for start in range(0, size, BLOCK):
            part = slice(start, start + BLOCK)
            np.multiply(c[part], 3.0, out=a[part])
            np.add(a[part], b[part], out=a[part])

    workers = [threading.Thread(target=work, args=share) for share in shares]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return 12 * size * threads / (time.perf_counter() - began)


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--page", action="store_true", help="put the table into docs")
    given = parser.parse_args()

    import mlx.core as mx

    from cptstudio.child_limits import usable_cores
    from cptstudio.evaluation import completion
    from cptstudio.lm import blas
    from cptstudio.lm.loading import load_for_inference
    from cptstudio.lm.parameters import named_parameters
    from cptstudio.lm.text_after import raw_tokens
    from cptstudio.sampling import Sampling

    blas.use_fast_blas()
    loaded = load_for_inference(given.model)
    # An embedding that is not the head, too, is looked up, not read.
    looked_up = {"model.embed_tokens.weight"} if "lm_head" in loaded.model else set()
    weights = named_parameters(loaded.model)
    size = sum(value.nbytes for name, value in weights.items() if name not in looked_up)
    prompt = raw_tokens(loaded.tokenizer, PROMPT)
    sampling = Sampling(max_tokens=given.tokens, temperature=0.0)
    used = blas._active
    forwarder = used.one_row if used else None

    def text(forward: bool) -> tuple[float, list[int]]:
        one = completion.Completion(loaded, prompt, sampling, 0, 10, lambda: False)
        tokens: list[int] = []
        if used is not None:
            used.one_row = forwarder if forward else None
        blas.set_blas_threads(usable_cores())
        completion.run_together([one], lambda _, piece: tokens.append(piece.token))
        return one.tokens_per_second or 0.0, tokens

    found: dict[str, list[float]] = {}
    texts: set[tuple[int, ...]] = set()
    for round_ in range(given.rounds + 1):
        for cores in sorted({1, usable_cores()}):
            found.setdefault(f"triad, {cores}", []).append(triad(cores))
        for name, forward in (("before", False), ("now", True)):
            speed, tokens = text(forward)
            found.setdefault(name, []).append(speed)
            texts.add(tuple(tokens))
        if not round_:
            found.clear()  # The first of everything warms up.
    middle = {name: statistics.median(values) for name, values in found.items()}
    memory = max(value for name, value in middle.items() if name.startswith("triad"))
    rows = []
    for name, values in found.items():
        unit = 1e9 if name.startswith("triad") else 1.0
        speed = middle[name] if unit > 1 else middle[name] * size
        span = f"{middle[name] / unit:.1f} ({min(values) / unit:.1f} to {max(values) / unit:.1f})"
        kind = "GB/s" if unit > 1 else "tokens/s"
        rows.append([name, f"{span} {kind}", f"{speed / 1e9:.1f}", f"{speed / memory:.0%}"])
    load = os.getloadavg()[0]
    text_ = f"""{time.strftime("%Y-%m-%d")}: {processor_name()}, {os.cpu_count()} cores; \
{size / 1e6:.0f} MB of weights a token; load {load:.0f}.

{table(["", "median (range)", "GB/s", "of the triad"], rows)}

{len(texts)} different greedy text{"s" if len(texts) > 1 else ""} of {given.tokens} tokens; \
medians of {given.rounds} rounds in turns."""
    print(text_)
    mx.clear_cache()
    if given.page:
        replace_part(PAGE, "generation_speed", text_)


if __name__ == "__main__":
    main()
