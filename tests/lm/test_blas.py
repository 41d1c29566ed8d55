"""The fast BLAS: it takes over, it can be put back, and whatever is wrong ends in the stock one."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.lm import blas, elf, gemv

linux_cpu = pytest.mark.skipif(
    sys.platform != "linux" or mx.default_device() != mx.Device(mx.cpu),
    reason="the fast BLAS is for Linux CPUs",
)


@pytest.fixture(autouse=True)
def stock_blas_before_and_afterwards() -> Iterator[None]:
    blas.use_fast_blas(enabled=False)
    yield
    blas.use_fast_blas(enabled=False)


def calls_table() -> dict[str, list[int]]:
    """The addresses that mlx's library calls now."""
    slots = elf.symbol_slots("libmlx.so", blas.GEMM_SYMBOLS)
    return {
        name: [ctypes.c_uint64.from_address(place).value for place in places]
        for name, places in slots.items()
    }


@linux_cpu
def test_it_takes_over_and_gives_back_what_was_there() -> None:
    before = calls_table()
    assert set(before) == set(blas.GEMM_SYMBOLS)
    report = blas.use_fast_blas(threads=1)
    assert report.replaced and report.threads == 1 and report.gflops > 0
    assert "OpenBLAS" in report.reason and "GFLOP/s" in report.reason
    during = calls_table()
    assert all(during[name] != before[name] for name in before)
    off = blas.use_fast_blas(enabled=False)
    assert not off.replaced and "turned off" in off.reason
    assert calls_table() == before


@linux_cpu
def test_calling_it_again_changes_only_the_threads() -> None:
    blas.use_fast_blas(threads=1)
    during = calls_table()
    assert blas.use_fast_blas(threads=2).threads == 2
    assert calls_table() == during
    assert blas.blas_threads() == 2
    blas.set_blas_threads(1)
    assert blas.blas_threads() == 1


@linux_cpu
def test_products_agree_with_numpy_and_are_the_same_bits_each_time() -> None:
    # With another number of threads the last bits may differ: AVX2 kernels of OpenBLAS cut matrices
    # elsewhere then, and add in another order at the edges.
    random = np.random.default_rng(3)
    left = random.standard_normal((2, 65, 130)).astype(np.float32)
    right = random.standard_normal((130, 71)).astype(np.float32)
    exact = left.astype(np.float64) @ right
    for threads in (1, 2):
        assert blas.use_fast_blas(threads).replaced
        results = [np.array(mx.array(left) @ mx.array(right)) for _ in range(3)]
        np.testing.assert_allclose(results[0], exact, atol=1e-4)
        for again in results[1:]:
            np.testing.assert_array_equal(results[0], again)


@linux_cpu
def test_a_library_that_computes_wrong_numbers_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = calls_table()
    # A function that may be called with any arguments, and leaves the product unwritten.
    nothing = ctypes.CDLL(None).getpid

    class Empty:
        scipy_cblas_sgemm = scipy_cblas_dgemm = scipy_cblas_cgemm = nothing

    monkeypatch.setattr(blas, "_load_openblas", lambda: (Empty, "a wrong library"))
    report = blas.use_fast_blas()
    assert not report.replaced and "wrong results" in report.reason
    assert calls_table() == before


@linux_cpu
def test_a_missing_library_or_symbol_leaves_mlx_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = calls_table()
    monkeypatch.setitem(sys.modules, "scipy_openblas32", None)
    report = blas.use_fast_blas()
    assert not report.replaced and "not installed" in report.reason
    monkeypatch.undo()
    monkeypatch.setattr(blas, "GEMM_SYMBOLS", ("cblas_sgemm", "cblas_nothing"))
    report = blas.use_fast_blas()
    assert not report.replaced and "cblas_nothing" in report.reason
    monkeypatch.setattr(blas, "GEMM_SYMBOLS", ("cblas_sgemm", "cblas_ssymm"))
    report = blas.use_fast_blas()
    assert not report.replaced and "no call of cblas_ssymm" in report.reason
    monkeypatch.undo()
    assert calls_table() == before


@pytest.mark.parametrize(
    ("platform", "machine", "expected"),
    [("darwin", "arm64", "has its own"), ("linux", "riscv64", "not riscv64")],
)
def test_other_machines_never_reach_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, expected: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("platform.machine", lambda: machine)

    def fail() -> None:
        raise AssertionError("the call table must not be touched here")

    monkeypatch.setattr(blas, "_replace", fail)
    report = blas.use_fast_blas()
    assert not report.replaced and expected in report.reason


def test_a_library_that_is_not_loaded_has_no_slots() -> None:
    if sys.platform == "linux":
        assert elf.symbol_slots("libnothing.so", ("cblas_sgemm",)) == {}


@linux_cpu
def test_one_row_products_are_forwarded_only_while_text_is_made() -> None:
    assert blas.use_fast_blas(threads=2).replaced
    during = calls_table()
    random = np.random.default_rng(5)
    row = random.standard_normal((3, 1, 130)).astype(np.float32)
    matrix = random.standard_normal((130, 71)).astype(np.float32)
    crosswise = mx.array(np.ascontiguousarray(matrix.T)).T
    exact = row.astype(np.float64) @ matrix
    with blas.one_row_products() as prompts_read:
        forwards = platform.machine() == "x86_64"  # Elsewhere OpenBLAS does it by itself.
        assert (calls_table()["cblas_sgemm"] != during["cblas_sgemm"]) == forwards
        for number in range(2):
            for right in (mx.array(matrix), crosswise):
                np.testing.assert_allclose(np.array(mx.array(row) @ right), exact, atol=1e-4)
            if not number:
                prompts_read()
    assert calls_table() == during and blas.blas_threads() == 2
    with pytest.raises(ZeroDivisionError), blas.one_row_products():
        raise ZeroDivisionError
    assert calls_table() == during


@linux_cpu
@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
def test_what_was_in_a_products_memory_does_not_show() -> None:
    library, _ = blas._load_openblas()
    addresses = [
        ctypes.cast(getattr(library, f"scipy_cblas_{name}"), ctypes.c_void_p).value or 0
        for name in ("sgemm", "sgemv")
    ]
    address = gemv.one_row_forwarder(*addresses)
    assert address is not None
    whole, single, array = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
    product = ctypes.CFUNCTYPE(
        None, *[whole] * 6, single, array, whole, array, whole, single, array, whole
    )(address)
    for rows in (1, 2):
        left, right = np.ones((rows, 40), np.float32), np.ones((40, 9), np.float32)
        result = np.full((rows, 9), np.nan, np.float32)
        pointers = [one.ctypes.data for one in (left, right, result)]
        product(
            101, 111, 111, rows, 9, 40, 0.5, pointers[0], 40, pointers[1], 9, 0.0, pointers[2], 9
        )
        np.testing.assert_array_equal(result, 20.0)
