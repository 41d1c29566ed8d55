"""The fast BLAS: it takes over, it can be put back, and whatever is wrong ends in the stock one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.lm import blas, elf

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
    assert not off.replaced and "switched off" in off.reason
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
    assert not report.replaced and "wrong numbers" in report.reason
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
    [("darwin", "arm64", "brings its own"), ("linux", "riscv64", "not riscv64")],
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
