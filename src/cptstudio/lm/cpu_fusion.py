"""Element-wise functions that run as one pass on a CPU, and an exponential made for that.

mlx's CPU kernels do one operation a pass, and its `exp` and `power` handle one number at a time
(11 and 4 ns). `mx.compile` turns an element-wise function into one C++ loop, which the compiler
does four numbers at a time: 1 ns for the exponential here. That needs a C++ compiler; without one,
and while a graph is being compiled as a whole, the plain operations do the same.

mlx does not compile within a function that is being differentiated, since it must see its single
operations. Ours have gradients of their own, so `untraced` builds their graphs in another thread:
whether something is being differentiated is a property of the thread.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache, wraps
from queue import SimpleQueue
from typing import Any, cast

import mlx.core as mx

from cptstudio.lm.compilation import prepare_compilation

Function = Callable[..., Any]

# 2 ** x on [-0.5, 0.5], lowest power first: least squares of the relative error at the Chebyshev
# points, which is 8e-8 at most (2.5e-7 with rounding).
_POWER_OF_TWO = (
    1.000000071029699,
    0.6931469491610631,
    0.2402212175356156,
    0.05550742616001869,
    0.009675459745526848,
    0.0013266970386625464,
)

# Results below this power of two are raised to it: products with them would be denormal, and slow.
_LOWEST_POWER = -100
_HIGHEST_POWER = 127

# Added to a number of less than 2 ** 22 and taken away again, it rounds to an integer.
_ROUNDING = 1.5 * 2.0**23

_builder_state = threading.local()
_whole_graph = False
_described = False
_stock_off = False


@lru_cache(maxsize=1)
def _available() -> bool:
    on_cpu = bool(mx.default_device() == mx.Device(mx.cpu))
    return on_cpu and not os.environ.get("MLX_DISABLE_COMPILE") and prepare_compilation()


@contextmanager
def whole_graph() -> Iterator[None]:
    """While a graph is compiled as a whole: `fused` functions give single operations to it."""
    global _whole_graph
    former, _whole_graph = _whole_graph, True
    try:
        yield
    finally:
        _whole_graph = former


@contextmanager
def only_own_functions() -> Iterator[None]:
    """Turn `mx.compile` off, but for the functions that are `fused` here."""
    global _stock_off
    if _stock_off or os.environ.get("MLX_DISABLE_COMPILE"):
        yield
        return
    _stock_off = True
    mx.disable_compile()
    try:
        yield
    finally:
        _stock_off = False
        mx.enable_compile()


def fusing() -> bool:
    """Return whether `fused` functions run as loops here, not as single operations."""
    return bool(getattr(_builder_state, "active", False))


def untraced(function: Function, *arguments: Any) -> Any:
    """function(*arguments), whose graph is built where nothing is being differentiated.

    For the inside of functions with gradients of their own: mlx cannot differentiate what is
    compiled. Nothing may be evaluated in it.
    """
    if _described or _whole_graph or fusing() or not _available():
        return function(*arguments)
    future: Future[Any] = Future()
    _builder().put((future, mx.default_stream(mx.default_device()), function, arguments))
    return future.result()


@lru_cache(maxsize=1)
def _builder() -> SimpleQueue[Any]:
    """Where to put what the builder shall do.

    It never ends: mlx aborts the process when a thread ends that has compiled something.
    """
    tasks: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_build, args=(tasks,), name="graph builder", daemon=True).start()
    return tasks


def _build(tasks: SimpleQueue[Any]) -> None:
    _builder_state.active = True
    while True:
        future, stream, function, arguments = tasks.get()
        result, error = None, None
        # The switch is one for all threads; the caller waits for this one.
        mx.enable_compile()
        try:
            # Each thread has defaults of its own.
            mx.set_default_device(stream.device)
            mx.set_default_stream(stream)
            result = function(*arguments)
        except BaseException as raised:
            error = raised
        finally:
            if _stock_off:
                mx.disable_compile()
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        # Arrays that are held until the next call could not give their memory to others.
        del future, function, arguments, result, error


@contextmanager
def described() -> Iterator[None]:
    """While a graph is built to be looked at, not computed: stand-ins take the kernels' places."""
    global _described
    former, _described = _described, True
    try:
        yield
    finally:
        _described = former


def is_described() -> bool:
    """Return whether the graph that is built is never computed; see `described`."""
    return _described


def with_gradient(
    forward: Function, backward: Function, stand_in: Function
) -> Callable[..., mx.array]:
    """Return a function with a gradient of its own, which gives the first output of `forward`.

    `backward` gets the arguments, the cotangents and all outputs: the others are kept for it.
    `stand_in` is made of plain operations and keeps as much for its gradient: a graph with
    gradients of its own cannot be exported, which is how it is looked at (`step_graph`).
    """
    function: Any = mx.custom_function(forward)
    function.vjp(backward)

    @wraps(forward)
    def call(*arguments: mx.array) -> mx.array:
        if _described:
            return cast(mx.array, stand_in(*arguments))
        result: mx.array = function(*arguments)[0]
        return result

    return call


def held(value: mx.array) -> mx.array:
    """Return a factor that a stand-in keeps for its gradient, and has none itself."""
    return mx.stop_gradient(value)


def fused(function: Function) -> Function:
    """`function`, made of element-wise operations on arrays of one shape, as one pass or a few.

    At work within `untraced`; elsewhere it is the function itself.
    """

    # What is compiled stays on the stream it was first used on. Streams go by their names: equal
    # ones have different hashes, and each call would trace its function again.
    @lru_cache(maxsize=64)
    def compiled(stream: str) -> Function:
        result: Function = mx.compile(function)
        return result

    @wraps(function)
    def call(*arguments: Any) -> Any:
        if not fusing():
            return function(*arguments)
        return compiled(str(mx.default_stream(mx.default_device())))(*arguments)

    return call


def power_of_two(x: mx.array) -> mx.array:
    """2 ** x for a float32 array of numbers up to 126, to 3e-7; at least 2 ** -100.

    To be called within `untraced`; elsewhere it is mlx's own power.
    """
    if not fusing():
        # In single operations the other way takes as long.
        return mx.power(mx.array(2.0, x.dtype), x)
    # `view` is what no compiled loop can do.
    return cast(mx.array, _times_power_of_part(x, _bits_of_power(x).view(mx.float32)))


def fused_sigmoid(x: mx.array) -> mx.array:
    """1 / (1 + exp(-x)) of a float32 array; to be called like `power_of_two`."""
    if not fusing():
        return mx.reciprocal(mx.power(mx.array(1 / math.e, x.dtype), x) + 1)
    part, bits = _split_negative(x)
    return cast(mx.array, _inverse_of_power_and_one(part, bits.view(mx.float32)))


def _rounded(x: mx.array) -> mx.array:
    """The nearest integer, as a float."""
    return (x + _ROUNDING) - _ROUNDING


def _float_bits(whole: mx.array) -> mx.array:
    """The bits of the float32 2 ** `whole`, as int32."""
    # mlx's largest of two integers takes a third of the time that its largest of two floats does.
    return mx.maximum(whole.astype(mx.int32) + 127, _LOWEST_POWER + 127) << 23


def _power(part: mx.array, factor: mx.array) -> mx.array:
    """2 ** part * factor, for a part of up to 0.5."""
    c0, c1, c2, c3, c4, c5 = _POWER_OF_TWO
    square = part * part
    series = (c0 + c1 * part) + square * ((c2 + c3 * part) + square * (c4 + c5 * part))
    return series * factor


@fused
def _bits_of_power(x: mx.array) -> mx.array:
    return _float_bits(_rounded(x))


@fused
def _times_power_of_part(x: mx.array, factor: mx.array) -> mx.array:
    return _power(x - _rounded(x), factor)


@fused
def _split_negative(x: mx.array) -> tuple[mx.array, mx.array]:
    """-x / ln 2 without the nearest integer, and the bits of 2 ** that integer."""
    exponent = x * (-1 / math.log(2))
    whole = _rounded(exponent)
    return exponent - whole, _float_bits(mx.minimum(whole, _HIGHEST_POWER))


@fused
def _inverse_of_power_and_one(part: mx.array, factor: mx.array) -> mx.array:
    return mx.reciprocal(_power(part, factor) + 1)
