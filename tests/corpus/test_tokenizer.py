"""Loading a tokenizer in a process that has several threads, as the web server has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow

_PROGRAM = """
import sys, threading
from cptstudio.corpus.tokenizer import load_tokenizer
hashes, start = [], threading.Barrier(4)
def work():
    start.wait()
    hashes.append(load_tokenizer(sys.argv[1]).facts.hash)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(hashes), len(set(hashes)))
"""


def test_threads_that_load_a_tokenizer_at_once_all_get_it(tmp_path: Path) -> None:
    model = make_toy_model("llama", tmp_path / "toy")
    command = [sys.executable, "-c", _PROGRAM, str(model)]
    completed = subprocess.run(command, capture_output=True, text=True)
    assert completed.stdout.split() == ["4", "1"], completed.stderr
