"""What a network says to token ids: how it goes on, and how probable it finds a text.

Plain calls of the network, one sequence at a time, so that another program that holds the same
weights can be asked the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.generate import generate_step


def continue_greedily(
    model: Any, prompt: Sequence[int], count: int
) -> tuple[list[int], list[float], float]:
    """Return the most probable tokens after a prompt, without regard to end tokens.

    Returns:
        Ids [count]; nats between the best and the second best at each; and the seconds after the
        first token, in which the others were made.
    """
    tokens: list[int] = []
    margins: list[float] = []
    begun = time.perf_counter()
    for token, log_probs in generate_step(mx.array(list(prompt)), model, max_tokens=count):
        if not tokens:
            begun = time.perf_counter()
        tokens.append(int(token))
        two = np.array(mx.topk(log_probs.astype(mx.float32).reshape(-1), 2))
        margins.append(float(abs(two[1] - two[0])))
    return tokens, margins, time.perf_counter() - begun


def score_text(model: Any, tokens: Sequence[int]) -> tuple[list[float], list[int]]:
    """Return the log-probability of each token after the first, and the most probable ids there.

    Args:
        tokens: ids [n + 1]; the first one is only read.

    Returns:
        Nats [n], not finite where the network's output is not; and ids [n].
    """
    output = model(mx.array([list(tokens[:-1])]))
    logits = getattr(output, "logits", output)[0].astype(mx.float32)
    targets = mx.array(list(tokens[1:]))[:, None]
    chosen = mx.take_along_axis(logits, targets, axis=-1).squeeze(-1)
    log_probs = np.array(chosen - mx.logsumexp(logits, axis=-1), dtype=np.float64)
    return log_probs.tolist(), np.array(mx.argmax(logits, axis=-1)).tolist()
