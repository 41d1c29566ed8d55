"""Compiled loops stand in for single operations, also while something is being differentiated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.lm import cpu_fusion
from cptstudio.lm.compilation import prepare_compilation
from cptstudio.lm.cpu_kernels import on_cpu

compiled_only = pytest.mark.skipif(
    not on_cpu() or not prepare_compilation(), reason="for CPUs, with a C++ compiler"
)


@pytest.fixture(params=["loops", "single operations"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "loops":
        monkeypatch.setattr(cpu_fusion, "_available", lambda: False)


@pytest.mark.usefixtures("way")
def test_a_power_of_two_is_exact_to_3e7() -> None:
    x = np.linspace(-99, 126, 50_001, dtype=np.float32)
    got = np.array(cpu_fusion.untraced(cpu_fusion.power_of_two, mx.array(x)))
    np.testing.assert_allclose(got, np.exp2(x.astype(np.float64)), rtol=3e-7)
    far = np.array(cpu_fusion.untraced(cpu_fusion.power_of_two, mx.array([-1e3, -1e9, -1e30])))
    assert (far >= 0).all() and (far < 1e-29).all()


@pytest.mark.usefixtures("way")
def test_what_is_no_number_stays_none() -> None:
    """The guards of a training run must see it."""
    nan = mx.array([0.0, float("nan"), 0.0])
    for function in (cpu_fusion.power_of_two, cpu_fusion.fused_sigmoid):
        found = np.isnan(np.array(cpu_fusion.untraced(function, nan)))
        assert found.tolist() == [False, True, False]


@pytest.mark.usefixtures("way")
def test_the_sigmoid_agrees_with_its_definition() -> None:
    x = np.concatenate([np.linspace(-80, 90, 20_001), [-1e30, 1e30]]).astype(np.float32)
    got = np.array(cpu_fusion.untraced(cpu_fusion.fused_sigmoid, mx.array(x)))
    with np.errstate(over="ignore"):
        want = 1 / (1 + np.exp(-x.astype(np.float64)))
    # The rounding of x / ln 2 grows with x.
    np.testing.assert_allclose(got, want, rtol=8e-6, atol=1e-37)


@compiled_only
@pytest.mark.parametrize("others_off", [False, True])
def test_loops_are_compiled_within_a_gradient(tmp_path: Path, others_off: bool) -> None:
    @mx.custom_function
    def power(x: mx.array) -> Any:
        return cpu_fusion.untraced(cpu_fusion.power_of_two, x)

    @power.vjp
    def power_vjp(primal: Any, cotangent: Any, output: Any) -> Any:
        return cpu_fusion.untraced(cpu_fusion.power_of_two, primal) * cotangent

    x = mx.array(np.linspace(-3, 3, 64, dtype=np.float32))
    if others_off:
        with cpu_fusion.only_own_functions():
            (value,), (gradient,) = mx.vjp(power, [x], [x])
            assert not _compiled(mx.compile(lambda x: mx.square(x) + 1)(x), tmp_path)
    else:
        (value,), (gradient,) = mx.vjp(power, [x], [x])
    assert _compiled(value, tmp_path) and _compiled(gradient, tmp_path)
    assert _compiled(mx.compile(lambda x: mx.square(x) + 2)(x), tmp_path)


def test_an_error_comes_back_to_the_caller() -> None:
    def wrong(x: mx.array) -> mx.array:
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        cpu_fusion.untraced(wrong, mx.array(1.0))


def test_streams_are_kept() -> None:
    """What is built in another thread runs on the stream of the caller."""
    x = mx.array(np.linspace(-3, 3, 64, dtype=np.float32))
    values = []
    for stream in (mx.new_stream(mx.cpu), mx.new_stream(mx.cpu)):
        with mx.stream(stream):
            values.append(cpu_fusion.untraced(cpu_fusion.power_of_two, x))
            seen = cpu_fusion.untraced(lambda x: mx.default_stream(mx.default_device()), x)
            assert not on_cpu() or seen == stream
    assert mx.array_equal(*values).item()


def _compiled(array: mx.array, folder: Path) -> bool:
    graph = folder / "graph.dot"
    mx.export_to_dot(str(graph), array)
    return "Compiled" in graph.read_text()


def test_a_compiled_loop_is_traced_once_for_a_shape_and_stream() -> None:
    traced = []

    @cpu_fusion.fused
    def twice(x: mx.array) -> mx.array:
        traced.append(x.shape)
        return x * 2 + 0

    for _ in range(3):
        assert cpu_fusion.untraced(lambda: twice(mx.ones(4))).tolist() == [2.0] * 4
    # Without a compiler the function itself is called each time.
    assert len(traced) == (1 if cpu_fusion._available() else 3)
