"""Freed memory stays with the process, and asking for huge pages costs no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's C library")

_ARRAYS = """
import json, resource, sys
import psutil
if sys.argv[1] == "limited":
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
import mlx.core as mx
from cptstudio.lm.cpu_kernels import prepare_cpu
from cptstudio.lm.cpu_memory import keep_freed_memory

process = psutil.Process()
before = process.memory_info()
kept = keep_freed_memory()
after = process.memory_info()
prepare_cpu()

def faults():
    x = mx.ones((32 << 20,))
    mx.eval(x)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first = faults()
print(json.dumps({
    "kept": kept,
    "resident": after.rss - before.rss,
    "reserved": after.vms - before.vms,
    "faults": faults() - first,
    "cache": mx.get_cache_memory(),
}))
"""


def measure(limited: bool) -> dict[str, Any]:
    command = [sys.executable, "-c", _ARRAYS, "limited" if limited else "free"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@linux_only
@pytest.mark.parametrize("limited", [False, True])
def test_freed_memory_is_used_again(limited: bool) -> None:
    found = measure(limited)
    if not found["kept"]:
        pytest.skip("the C library is not glibc")
    # 128 MB would be 32,768 pages.
    assert found["faults"] < 2000
    assert found["cache"] == 0
    assert found["resident"] < 32 << 20
    if limited:
        assert found["reserved"] < 256 << 20
