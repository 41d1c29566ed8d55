"""A fast BLAS under mlx on Linux CPUs.

The Linux CPU wheel of mlx multiplies matrices with the reference (netlib) BLAS that it bundles:
about 5 GFLOP/s on a core that can do 150. mlx reaches it through three functions of the C
interface, `cblas_sgemm`, `cblas_dgemm` and `cblas_cgemm`. Their addresses stand in the library's
global offset table, which `use_fast_blas` points at the same functions of OpenBLAS (the
`scipy-openblas32` wheel, BSD license). Nothing on disk changes, it works after `import mlx`, and it
needs no root, compiler or LD_PRELOAD.

Nothing is trusted before it is tested: products of odd shapes, transposed, batched and strided, are
compared with numpy in float64, and where one is off the former addresses are put back. macOS and
CUDA never reach this code.
"""

import ctypes
import importlib
import logging
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from cptstudio.child_limits import usable_cores
from cptstudio.lm import elf
from cptstudio.lm.cpu_kernels import prepare_cpu
from cptstudio.lm.gemv import one_row_forwarder

logger = logging.getLogger(__name__)

# mlx's products in bfloat16 and float16 do not go through BLAS, so these three are all there is.
GEMM_SYMBOLS = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")

BUNDLED = "the BLAS bundled with mlx"

_ONE_ROW_MATRICES, _ONE_ROW_SHAPE = 16, (768, 1280)
"""What one-row products are measured on: 63 MB, more than caches hold, in matrices of a layer."""
_THREADS_HOLD_SECONDS = 20.0


@dataclass(frozen=True)
class BlasReport:
    """The BLAS that multiplies matrices on this machine from now on.

    `gflops` is what a short float32 product reached just now (0.0 where nothing was measured),
    `threads` the number of threads each product uses, and `reason` a sentence for the log.
    """

    library: str
    replaced: bool
    gflops: float
    threads: int
    reason: str


class BlasUnavailableError(Exception):
    """The optimized BLAS cannot be used; the text says why."""


@dataclass
class _Replacement:
    """The optimized library in use, and what stood in mlx's table before.

    Attributes:
        gemm_slots: where mlx keeps the address of its product in float32.
        gemm: what stands there now.
        one_row: what stands there within `one_row_products`, or None.
        threads: how many were fastest for many rows and for one, and when that was measured.
    """

    library: Any
    name: str
    former: dict[int, int]
    gemm_slots: list[int] = field(default_factory=list)
    gemm: int = 0
    one_row: int | None = None
    threads: tuple[int, int, float] = (1, 1, -1e9)


_active: _Replacement | None = None


def use_fast_blas(threads: int | None = None, enabled: bool = True) -> BlasReport:
    """Let mlx multiply matrices with OpenBLAS where its own BLAS is the slow reference one.

    Safe to call at any time and any number of times; never raises. `threads` is the number of
    threads for each product (None: one for each core this process may use). With `enabled=False`
    mlx is left as, or put back to what, it was.
    """
    global _active
    prepare_cpu()
    threads = threads or usable_cores()
    if not enabled:
        _restore()
        return BlasReport(BUNDLED, False, 0.0, 1, "The fast BLAS is turned off.")
    unsuited = _why_not_applicable()
    if unsuited:
        return BlasReport("mlx", False, 0.0, 1, unsuited)
    try:
        if _active is None:
            _active = _replace()
            _self_test()
            _prepare_one_row_products(_active)
        set_blas_threads(threads)
        gflops = measure_gflops()
    # Whatever goes wrong here, training without the fast BLAS is slow but right; failing would be
    # neither.
    except Exception as error:
        _restore()
        cause = str(error) if isinstance(error, BlasUnavailableError) else f"{error!r}"
        reason = f"MLX uses its own, much slower BLAS: {cause}"
        return BlasReport(BUNDLED, False, 0.0, 1, reason)
    reason = (
        f"MLX uses {_active.name} for matrix products: self-test passed, {gflops:.0f} "
        f"GFLOP/s in float32 with {threads} thread{'s' if threads > 1 else ''}."
    )
    return BlasReport(_active.name, True, gflops, threads, reason)


def set_blas_threads(threads: int) -> None:
    """Set how many threads each product uses; without effect where the fast BLAS is not in use."""
    if _active is not None:
        _active.library.scipy_openblas_set_num_threads(max(1, int(threads)))


def blas_threads() -> int:
    """Return how many threads each product uses: 1 where the fast BLAS is not in use."""
    return int(_active.library.scipy_openblas_get_num_threads()) if _active is not None else 1


@contextmanager
def one_row_products() -> Iterator[Callable[[], None]]:
    """Multiply single rows, as in making text, at the memory's speed; without effect elsewhere.

    Sums are added up in another order than before: equal within rounding. Not for training, whose
    runs keep the bits that they began with.

    Yields:
        What to call once all prompts are read: from then on products have as many threads as are
        fastest for one row, and until then as are fastest for many.
    """
    used, before = _active, blas_threads()
    if used is None or used.one_row is None:
        yield lambda: None
        return
    many, one = _fastest_threads(used, before)
    set_blas_threads(many)
    try:
        with _forwarding(used):
            yield lambda: set_blas_threads(one)
    finally:
        set_blas_threads(before)


@contextmanager
def _forwarding(used: _Replacement) -> Iterator[None]:
    for slot in used.gemm_slots:
        elf.write_slot(slot, used.one_row or used.gemm)
    try:
        yield
    finally:
        for slot in used.gemm_slots:
            elf.write_slot(slot, used.gemm)


def _fastest_threads(used: _Replacement, most: int) -> tuple[int, int]:
    """How many threads products of many rows, and of one, should use now: 1, or all `most`.

    OpenBLAS's threads wait for each other at every product, a few hundred times a token. Where
    other programs compute, too, one thread is several times as fast. It is measured, in 50 ms.
    """
    if most < 2:
        return 1, 1
    many, one, when = used.threads
    if time.monotonic() - when > _THREADS_HOLD_SECONDS:
        width, rows = _ONE_ROW_SHAPE
        matrices = mx.zeros((_ONE_ROW_MATRICES, width, rows)) + 1.0
        row = mx.broadcast_to(mx.ones((1, width)), (_ONE_ROW_MATRICES, 1, width))
        square = mx.ones((512, 512))
        mx.eval(matrices, row, square)
        with _forwarding(used):
            many, one = _faster(square, square, most), _faster(row, matrices, most)
        set_blas_threads(most)
        used.threads = (many, one, time.monotonic())
    return min(many, most), min(one, most)


def _faster(left: mx.array, right: mx.array, most: int) -> int:
    """Which number of threads multiplies two matrices faster, by medians of five turns."""
    seconds: dict[int, list[float]] = {1: [], most: []}
    for count in (1, most) * 5:
        set_blas_threads(count)
        start = time.perf_counter()
        mx.eval(left @ right)
        seconds[count].append(time.perf_counter() - start)
    return most if statistics.median(seconds[most]) < 0.85 * statistics.median(seconds[1]) else 1


def measure_gflops(size: int = 768, seconds: float = 0.05) -> float:
    """Speed of float32 products of `size` x `size` matrices now, in 1e9 operations a second.

    The best of several, so that other load on the machine disturbs it little. Takes about
    `seconds`.
    """
    left, right = mx.random.normal((2, size, size), key=mx.random.key(0))
    mx.eval(left, right, left @ right)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        mx.eval(left @ right)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def _why_not_applicable() -> str:
    """A sentence if this machine needs no other BLAS or cannot have one, else an empty string."""
    if sys.platform != "linux":
        return f"MLX has its own optimized matrix products on {platform.system()}."
    if mx.default_device() != mx.Device(mx.cpu):
        return "MLX computes on the GPU and needs no other BLAS."
    if platform.machine() not in elf.ADDRESS_RELOCATIONS:
        return f"The fast BLAS supports x86-64 and aarch64, not {platform.machine()}."
    return ""


def _replace() -> _Replacement:
    """Point mlx's three products at OpenBLAS.

    Raises:
        BlasUnavailableError: a library or symbol is missing; nothing was changed.
    """
    library, name = _load_openblas()
    targets = {}
    for symbol in GEMM_SYMBOLS:
        try:
            function = getattr(library, f"scipy_{symbol}")
        except AttributeError:
            raise BlasUnavailableError(f"{name} has no {symbol}.") from None
        targets[symbol] = ctypes.cast(function, ctypes.c_void_p).value or 0
    slots = elf.symbol_slots("libmlx.so", GEMM_SYMBOLS)
    missing = [symbol for symbol in GEMM_SYMBOLS if not slots.get(symbol)]
    if missing:
        raise BlasUnavailableError(f"found no call of {', '.join(missing)} in MLX's library.")
    former: dict[int, int] = {}
    try:
        for symbol in GEMM_SYMBOLS:
            for slot in slots[symbol]:
                former[slot] = elf.write_slot(slot, targets[symbol])
    except OSError as error:
        for slot, address in former.items():
            elf.write_slot(slot, address)
        raise BlasUnavailableError(f"could not patch MLX's call table ({error}).") from error
    gemm = GEMM_SYMBOLS[0]
    return _Replacement(library, name, former, slots[gemm], targets[gemm])


def _prepare_one_row_products(used: _Replacement) -> None:
    """Make what `one_row_products` points mlx at; where its self-test fails, it has no effect."""
    gemv = getattr(used.library, "scipy_cblas_sgemv", None)
    address = ctypes.cast(gemv, ctypes.c_void_p).value if gemv is not None else None
    used.one_row = one_row_forwarder(used.gemm, address) if address else None
    try:
        with _forwarding(used):
            _self_test()
    except BlasUnavailableError as error:
        logger.warning("Products of one row use the slower path: %s", error)
        used.one_row = None


def _restore() -> None:
    """Put back the addresses that stood in mlx's table, if they were changed."""
    global _active
    if _active is None:
        return
    for slot, address in _active.former.items():
        elf.write_slot(slot, address)
    _active = None


def _load_openblas() -> tuple[Any, str]:
    """The library of the `scipy-openblas32` wheel and its name with version.

    Raises:
        BlasUnavailableError: the wheel is not installed, or its library cannot be loaded.
    """
    try:
        wheel = importlib.import_module("scipy_openblas32")
    except ImportError:
        raise BlasUnavailableError("the package scipy-openblas32 is not installed.") from None
    path = Path(wheel.get_lib_dir()) / wheel.get_library(fullname=True)
    try:
        library = ctypes.CDLL(str(path))
        describe = library.scipy_openblas_get_config
        describe.restype = ctypes.c_char_p
        words = (describe() or b"OpenBLAS").decode(errors="replace").split()
    except (OSError, AttributeError) as error:
        raise BlasUnavailableError(f"could not load OpenBLAS ({error}).") from error
    return library, " ".join(words[:2])


def _self_test() -> None:
    """Compare products through mlx with numpy's in float64.

    Raises:
        BlasUnavailableError: one differs by more than its precision allows.
    """
    for left, right in _test_operands():
        product = np.array(mx.array(left) @ mx.array(right))
        transposed = np.array(
            mx.swapaxes(
                mx.swapaxes(mx.array(right), -1, -2) @ mx.swapaxes(mx.array(left), -1, -2), -1, -2
            )
        )
        wide = np.complex128 if np.iscomplexobj(left) else np.float64
        exact = left.astype(wide) @ right.astype(wide)
        # The classical bound of a product's rounding error: inner size x unit roundoff x |A| |B|.
        roundoff = float(np.finfo(left.dtype).eps)
        bound = 4 * left.shape[-1] * roundoff * (np.abs(left) @ np.abs(right)) + 1e-30
        for result in (product, transposed):
            if not bool(np.all(np.abs(result - exact) <= bound)):
                kind = f"{left.dtype} {left.shape} x {right.shape}"
                raise BlasUnavailableError(f"its self-test gave wrong results ({kind}).")


def _test_operands() -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Random pairs of matrices: odd sizes, one row, batched, and each type that uses BLAS."""
    random = np.random.default_rng(20260101)
    shapes = [
        ((1, 7), (7, 1)),
        ((33, 65), (65, 17)),
        ((1, 129), (129, 257)),
        ((255, 3), (3, 129)),
        ((128, 256), (256, 64)),
        ((3, 2, 19, 31), (3, 2, 31, 23)),
        ((5, 37, 41), (41, 29)),
        ((1, 576), (576, 1536)),
        ((7, 1, 65), (7, 65, 33)),
    ]
    for left_shape, right_shape in shapes:
        left, right = random.standard_normal(left_shape), random.standard_normal(right_shape)
        yield left.astype(np.float32), right.astype(np.float32)
    left, right = random.standard_normal((21, 43)), random.standard_normal((43, 11))
    yield (
        (left + 1j * left[::-1]).astype(np.complex64),
        (right - 1j * right[::-1]).astype(np.complex64),
    )
