"""The gated delta rule in chunks is mlx-lm's loop over tokens, with its gradients."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.models import gated_delta

from cptstudio.lm.delta_rule import delta_rule_in_chunks, gated_delta_chunks


def arrays(length: int, alike: bool) -> list[mx.array]:
    """Queries, keys, values, logarithms of decays, betas; alike: one key, hardly forgotten."""
    random = np.random.default_rng(length)
    q, k = random.normal(size=(2, 2, length, 2, 32))
    if alike:
        k[:] = k[:, :1]
    q, k = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k))
    decay = -random.exponential(1e-4 if alike else 0.3, (2, length, 4))
    decay[0, length // 2] = -60
    decay[1, length // 3] = -200
    beta = random.uniform(0.999 if alike else 0, 1, (2, length, 4))
    values = random.normal(size=(2, length, 4, 16))
    return [mx.array(x.astype(np.float32)) for x in (q, k, values, decay, beta)]


@pytest.mark.parametrize("length", [2, 7, 64, 130])
@pytest.mark.parametrize("alike", [False, True])
def test_chunks_give_the_numbers_and_gradients_of_the_loop(length: int, alike: bool) -> None:
    given = arrays(length, alike)
    random = np.random.default_rng(0)
    weights = mx.array(random.normal(size=(2, length, 4, 16)).astype(np.float32))
    state = mx.array(random.normal(size=(2, 4, 16, 32)).astype(np.float32))

    def of(rule: Any) -> Any:
        def total(q: mx.array, k: mx.array, v: mx.array, decay: mx.array, *more: mx.array) -> Any:
            output, last = rule(q, k, v, mx.exp(decay), *more)
            return (output * weights).sum() + (last * last).sum()

        with mx.stream(mx.cpu):
            return mx.value_and_grad(total, argnums=list(range(6)))(*given, state)

    (loop, wanted), (value, found) = of(gated_delta.gated_delta_ops), of(gated_delta_chunks)
    assert value.item() == pytest.approx(loop.item(), rel=2e-6)
    for one, other in zip(wanted, found, strict=True):
        assert float(mx.abs(one - other).max()) <= 2e-5 * float(mx.abs(one).max())


def test_other_rules_are_left_as_they_are(request: pytest.FixtureRequest) -> None:
    q, k, v, _, beta = arrays(5, alike=False)
    for_each = mx.full((2, 5, 4, 32), 0.5)
    mx.disable_compile()
    request.addfinalizer(mx.enable_compile)
    stock = gated_delta.gated_delta_ops(q, k, v, for_each, beta)
    with delta_rule_in_chunks():
        assert gated_delta.gated_delta_ops is not stock
        found = gated_delta.gated_delta_ops(q, k, v, for_each, beta)
    for one, other in zip(stock, found, strict=True):
        assert mx.array_equal(one, other)
