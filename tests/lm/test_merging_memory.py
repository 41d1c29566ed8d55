"""Merging is streamed by tensor: its memory stays near one model, however many are summed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy_models import make_toy_model

# In a process of its own: what MLX's memory peaked at before does not count.
MEASURE = """
import sys
import mlx.core as mx
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.parameters import named_parameters
from pathlib import Path

folders = [Path(one) for one in sys.argv[1:]]
mx.set_cache_limit(0)
merged = merge([Part(folder, None, 1 / len(folders)) for folder in folders])
values = named_parameters(merged.model).values()
print(sum(value.nbytes for value in values), max(value.nbytes for value in values))
print(mx.get_peak_memory())
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_peak_is_one_model_and_a_few_tensors(tmp_path: Path, dtype: str) -> None:
    sizes = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 12}
    folders = [
        make_toy_model("qwen3", tmp_path / f"model-{seed}", seed=seed, dtype=dtype, **sizes)
        for seed in range(4)
    ]
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, folders)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    model, largest, peak = map(int, ended.stdout.split())
    assert model > 20 * largest
    # Of the largest tensor: four values and their float32 forms and sums, with margin.
    assert peak < model + 16 * largest, f"{peak / model:.2f} models"
