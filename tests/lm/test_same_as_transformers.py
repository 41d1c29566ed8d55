"""A model that transformers saved is loaded as its makers meant it: the same log-probabilities.

`make bench` compares every architecture that mlx-lm and transformers share, each with every kind
of RoPE; the other tests a dozen, chosen so that each kind of RoPE and of network is there once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.errors import UserError
from cptstudio.lm.description import read_model_config
from cptstudio.lm.known_differences import known_differences
from cptstudio.lm.loading import load_for_inference
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import ADAPTER_NOTE, save_model_folder
from tests.lm.small_runs import prepare, text_batch, train
from tests.saved_weights import save_weights
from tests.shared_architectures import (
    ARCHITECTURES,
    BASE,
    LEFT_OUT,
    LOCAL_BASE,
    ORIGINAL_CONTEXT,
    TOKENS,
    VOCABULARY_SIZE,
    NotBuiltError,
    building,
    configuration,
    save_shared_architecture,
    shared_architectures,
    transformers_log_probabilities,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

TOLERANCE = 1e-3

SCALED_ROPES: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "yarn": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
    "longrope": {
        "rope_type": "longrope",
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    },
}

# Each family and each way in which a configuration departs from what mlx-lm reads.
QUICK = (
    "llama",  # rope_theta
    "glm4",  # partial_rotary_factor
    "gpt_neox",  # rotary_emb_base, rotary_pct
    "gemma3",  # RoPE by kind of layer, inside text_config
    "gemma4_text",  # read by kind of layer
    "apertus",  # fields without a setting
    "qwen3_moe",  # a renamed field
    "exaone4",  # layer_types
    "deepseek_v3",  # compressed keys and values
    "lfm2",  # convolutions
    "gpt_oss",  # unpacked experts
    "qwen2_vl",  # mrope
)
QUICK_SCALED = (
    ("llama", "llama3"),
    ("qwen3", "yarn"),
    ("gemma3_text", "linear"),
    ("phi3", "longrope"),
    ("mixtral", "yarn"),
)

# What mlx-lm's network does not compute, by what `load_for_inference` says.
NOT_COMPUTED = "does not support|must contain keys|currently only supports"


def log_probabilities(model: Any, tokens: list[int]) -> np.ndarray:
    output = model(mx.array([tokens]))
    logits = getattr(output, "logits", output)[0].astype(mx.float32)
    return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))


def text(length: int = TOKENS) -> list[int]:
    return [int(t) for t in np.random.default_rng(0).integers(4, VOCABULARY_SIZE, length)]


def largest_difference(folder: Path, saved: Any, tokens: list[int]) -> float:
    loaded = load_for_inference(folder, compute_dtype=mx.float32)
    expected = transformers_log_probabilities(saved, tokens)
    return float(np.abs(log_probabilities(loaded.model, tokens) - expected).max())


def compare(name: str, folder: Path) -> None:
    given = ARCHITECTURES[name]
    if given.unbuilt is not None:
        with pytest.raises(NotBuiltError, match=given.unbuilt):
            save_shared_architecture(name, folder)
        return
    saved = save_shared_architecture(name, folder)
    if given.refused is not None:
        with pytest.raises(UserError, match=given.refused):
            load_for_inference(folder)
        return
    difference = largest_difference(folder, saved, text())
    # What differs is told to the user, and nothing else is.
    assert bool(known_differences(read_model_config(folder), TOKENS)) == bool(given.differs)
    if given.differs is None:
        assert difference < TOLERANCE
    else:
        # An exception that became right is none any more.
        assert TOLERANCE <= difference < 10 * TOLERANCE


def check_bases_are_visible(folder: Path) -> None:
    """Another RoPE base changes the numbers, so that one that is read wrongly would be seen."""
    file = folder / "config.json"
    written = file.read_text(encoding="utf-8")
    right = log_probabilities(load_for_inference(folder, compute_dtype=mx.float32).model, text())
    found = [base for base in (BASE, LOCAL_BASE) if f"{base}" in written]
    assert found
    for base in found:
        file.write_text(written.replace(f"{base}", "10000.0"), encoding="utf-8")
        wrong = load_for_inference(folder, compute_dtype=mx.float32).model
        assert np.abs(log_probabilities(wrong, text()) - right).max() > 10 * TOLERANCE, base


def scaled_rope(name: str, kind: str) -> dict[str, Any]:
    rope = {"type": kind} | SCALED_ROPES[kind]
    if kind == "longrope":
        config = configuration(name)
        config = getattr(config, "text_config", config)
        # Gemma 4's kinds of layers have heads of two sizes, so that no one list of factors fits.
        with building():
            size = getattr(config, "head_dim", None)
        size = size or config.hidden_size // config.num_attention_heads
        rotated = int(size * (ARCHITECTURES[name].partial or 1)) // 2
        factors = np.random.default_rng(1)
        rope["short_factor"] = [float(f) for f in factors.uniform(1, 1.5, rotated)]
        rope["long_factor"] = [float(f) for f in factors.uniform(2, 5, rotated)]
    return rope


@pytest.mark.parametrize("name", QUICK)
def test_a_small_model_of_each_family(name: str, tmp_path: Path) -> None:
    compare(name, tmp_path)


@pytest.mark.parametrize(("name", "kind"), QUICK_SCALED)
def test_scaled_ropes(name: str, kind: str, tmp_path: Path) -> None:
    compare_scaled(name, kind, tmp_path)


def compare_scaled(name: str, kind: str, folder: Path) -> None:
    try:
        saved = save_shared_architecture(name, folder, rope=scaled_rope(name, kind))
        short = transformers_log_probabilities(saved, text(ORIGINAL_CONTEXT // 2))
    except NotBuiltError as error:
        pytest.skip(f"transformers has no such model: {error}")
    try:
        loaded = load_for_inference(folder, compute_dtype=mx.float32)
    except UserError as error:
        assert ARCHITECTURES[name].refused or any(
            part in str(error) for part in NOT_COMPUTED.split("|")
        ), error
        return
    # Texts within the original context and beyond it.
    got = log_probabilities(loaded.model, text(ORIGINAL_CONTEXT // 2))
    assert np.abs(got - short).max() < TOLERANCE
    assert largest_difference(folder, saved, text()) < 3 * TOLERANCE


@pytest.mark.bench
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_shared_architecture(name: str, tmp_path: Path) -> None:
    compare(name, tmp_path)
    given = ARCHITECTURES[name]
    # Recurrent Gemma has one base in mlx-lm, and another is refused.
    if given.rope and not (given.unbuilt or given.refused or name == "recurrent_gemma"):
        check_bases_are_visible(tmp_path)


@pytest.mark.bench
@pytest.mark.parametrize("kind", SCALED_ROPES)
@pytest.mark.parametrize("name", [name for name, given in ARCHITECTURES.items() if given.rope])
def test_every_scaled_rope(name: str, kind: str, tmp_path: Path) -> None:
    if ARCHITECTURES[name].differs or ARCHITECTURES[name].unbuilt:
        pytest.skip("an exception of its own")
    compare_scaled(name, kind, tmp_path)


def test_no_shared_architecture_is_missing() -> None:
    assert shared_architectures() == ARCHITECTURES.keys() | LEFT_OUT.keys()


# --- what is written ---------------------------------------------------------------------------

# A base as it comes from transformers, and the RoPE that it has.
WRITTEN: tuple[tuple[str, str | None], ...] = (
    ("llama", None),
    ("llama", "llama3"),
    ("gemma3_text", "linear"),
    ("glm4", None),
    ("gpt_neox", None),
    ("qwen3_moe", None),
    ("deepseek_v2", None),
    ("olmo3", "yarn"),
    ("exaone4", None),
    ("granitemoehybrid", None),
)


def read_by_transformers(folder: Path) -> np.ndarray:
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    return np.array(transformers_log_probabilities(model.float().eval(), text()))


def read_by_mlx_lm(folder: Path) -> np.ndarray:
    model, _ = mlx_lm.load(str(folder))
    return log_probabilities(model, text())


@pytest.mark.parametrize(("name", "rope"), WRITTEN)
def test_checkpoints_are_read_by_mlx_lm_and_transformers(
    name: str, rope: str | None, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    saved = save_shared_architecture(name, base, rope=scaled_rope(name, rope) if rope else None)
    loaded, method = prepare(base, kind="full")
    train(loaded.model, text_batch(base), steps=1)
    full = tmp_path / "full"
    full.mkdir()
    save_weights(full, loaded, method)
    trained = log_probabilities(loaded.model, text())
    assert np.abs(trained - transformers_log_probabilities(saved, text())).max() > TOLERANCE

    merged = tmp_path / "merged"
    merged.mkdir()
    whole = merge([Part(base, None, 0.0), Part(full, None, 1.0)])
    save_model_folder(merged, whole, named_parameters(whole.model))
    for folder in (full, merged):
        for read in (read_by_mlx_lm, read_by_transformers):
            assert np.abs(read(folder) - trained).max() < TOLERANCE, (folder.name, read.__name__)


def test_an_adapter_says_that_mlx_lm_reads_its_base_otherwise(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save_shared_architecture("llama", base)
    folder.mkdir()
    loaded, method = prepare(base, kind="lora")
    saved = save_weights(folder, loaded, method)
    assert ADAPTER_NOTE in saved.files
    assert "rope_theta" in (folder / ADAPTER_NOTE).read_text(encoding="utf-8")
