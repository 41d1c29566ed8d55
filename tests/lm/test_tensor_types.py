"""The types of all tensors of all checkpoints are their base's, and no computation rounds them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import mlx.core as mx
import mlx_lm
import pytest

from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.loading import LoadedModel, load_for_inference, load_for_training
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.methods import AppliedMethod, apply_method
from cptstudio.lm.parameters import named_parameters, trainable_parameters
from cptstudio.lm.saving import save_model_folder
from cptstudio.settings import MethodSettings
from cptstudio.training.evaluation import computing_in
from cptstudio.weight_files import read_tensors
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import text_batch
from tests.saved_weights import save_weights

pytestmark = pytest.mark.slow

NAMES = ("llama-tied", "gemma3", "qwen3_moe", "mamba", "glm4_moe")
METHODS = {
    "full": {},
    "lora": {},
    "dora": {},
    "lora with embeddings": {"train_embeddings": True},
}
# What published bases keep in float32; where a toy has none of these, its norms are.
_WIDE = re.compile(r"(A_log|\.D|dt_proj\.bias|e_score_correction_bias|norm\w*\.weight)$")
_HALF = {"F32": mx.float32, "BF16": mx.bfloat16, "F16": mx.float16}
_TURNS = (mx.float32, mx.bfloat16, mx.float16)


def base_of(toy: Path, kind: str, target: Path) -> Path:
    """A copy of a float32 toy whose tensors have other types."""
    if kind == "4-bit":
        mlx_lm.convert(
            str(toy), str(target), quantize=True, q_bits=4, q_group_size=32, dtype="float16"
        )
        return target
    shutil.copytree(toy, target)
    tensors = mx.load(str(toy / "model.safetensors"))
    for number, (name, value) in enumerate(sorted(tensors.items())):
        if name.endswith("e_score_correction_bias"):
            value = mx.random.normal(value.shape, key=mx.random.key(number))
        if kind == "bf16 with float32":
            dtype = mx.float32 if _WIDE.search(name) else mx.bfloat16
        else:
            dtype = mx.float16 if kind == "fp16" else _TURNS[number % 3]
        tensors[name] = value.astype(dtype)
    mx.save_safetensors(str(target / "model.safetensors"), tensors, metadata={"format": "pt"})
    return target


def prepared(base: Path, method: str) -> tuple[LoadedModel, AppliedMethod]:
    """A base that is computed with in bfloat16, as on a GPU."""
    kind = method.partition(" ")[0]
    loaded = load_for_training(base, method=kind, compute_dtype=mx.bfloat16)
    return loaded, apply_method(loaded, MethodSettings(kind=kind, rank=4, **METHODS[method]))


def types_of(folder: Path) -> dict[str, str]:
    return {name: tensor.dtype for name, tensor in read_tensors(folder).items()}


@pytest.fixture(scope="module")
def typed_base(toy_folder: ToyFolder, tmp_path_factory: pytest.TempPathFactory):
    root, made = tmp_path_factory.mktemp("typed"), {}

    def folder(name: str, kind: str) -> Path:
        key = (name, kind)
        if key not in made:
            made[key] = base_of(toy_folder(name), kind, root / f"{name} {kind}")
        return made[key]

    return folder


@pytest.mark.parametrize("kind", ["bf16 with float32", "fp16", "mixed"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_have_the_types_of_their_base(
    typed_base, tmp_path: Path, name: str, method: str, kind: str
) -> None:
    base = typed_base(name, kind)
    loaded, applied = prepared(base, method)
    saved = save_weights(tmp_path, loaded, applied)
    if saved.layout == "adapter":
        assert saved.exact
        assert set(mx.load(str(tmp_path / "adapters.safetensors")).values())
        return
    assert not saved.exact and saved.base_names
    assert types_of(tmp_path) == types_of(base)
    # Nothing was trained yet, so nothing may have been rounded on the way.
    before, after = (mx.load(str(f / "model.safetensors")) for f in (base, tmp_path))
    assert [key for key in before if not mx.array_equal(before[key], after[key])] == []


@pytest.mark.parametrize("name", NAMES)
def test_unpacked_checkpoints_of_4_bit_bases_have_the_types_of_their_scales(
    typed_base, tmp_path: Path, name: str
) -> None:
    base = typed_base(name, "4-bit")
    loaded, applied = prepared(base, "lora with embeddings")
    packed = mx.load(str(base / "model.safetensors"))
    own = named_parameters(loaded.model)
    scales = [key for key in packed if key.endswith((".scales", ".biases"))]
    assert len(scales) > 4 and {packed[key].dtype for key in scales} == {mx.float16}
    kept = [key for key in own if key.endswith((".scales", ".biases"))]
    assert {own[key].dtype for key in kept} == {mx.float16}
    nats, count, gradients = GradientStep(
        loaded.model, streams=1, compute_dtype=mx.bfloat16, lasting=loaded.lasting
    )(text_batch(base)[:, :-1], text_batch(base)[:, 1:])
    mx.eval(gradients)
    assert 4 < nats.item() / count < 9
    save_weights(tmp_path, loaded, applied)
    wide = {key for key, value in packed.items() if value.dtype == mx.float32}
    types = types_of(tmp_path)
    assert {key for key, dtype in types.items() if dtype == "F32"} == wide
    assert {dtype for key, dtype in types.items() if key not in wide} == {"F16"}
    # Unpacked in float32 and rounded once.
    plain = mx.load(str(tmp_path / "model.safetensors"))
    key = next(key.removesuffix(".scales") for key in scales if key.endswith(".scales"))
    parts = (packed[f"{key}.scales"], packed[f"{key}.biases"])
    group = plain[f"{key}.weight"].shape[-1] // parts[0].shape[-1]
    exact = mx.dequantize(packed[f"{key}.weight"], *(p.astype(mx.float32) for p in parts), group, 4)
    assert mx.array_equal(plain[f"{key}.weight"], exact.astype(mx.float16))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_wider_is_not_narrowed_for_a_computation(typed_base, name: str) -> None:
    base = typed_base(name, "bf16 with float32")
    stored = {
        key: value.dtype for key, value in named_parameters(mlx_lm.load(str(base))[0]).items()
    }
    wide = {key for key, dtype in stored.items() if dtype == mx.float32}
    assert wide
    for method in ("lora", "full"):
        loaded, _ = prepared(base, method)
        with computing_in(loaded, mx.bfloat16):
            own = named_parameters(loaded.model)
            assert {key: own[key].dtype for key in stored if key in own} == {
                # Constants are no part of what full training casts.
                key: mx.float32 if method == "full" and key not in masters(loaded) else dtype
                for key, dtype in stored.items()
                if key in own
            }
    inference = load_for_inference(base, compute_dtype=mx.bfloat16)
    assert {key: value.dtype for key, value in named_parameters(inference.model).items()} == stored


def masters(loaded: LoadedModel) -> set[str]:
    return set(trainable_parameters(loaded.model))


@pytest.mark.parametrize("name", ["qwen3_moe", "mamba"])
def test_gradients_of_what_is_not_narrowed_are_those_of_float32(typed_base, name: str) -> None:
    base = typed_base(name, "bf16 with float32")
    loaded, _ = prepared(base, "full")
    batch = text_batch(base)
    seen: set[str] = set()
    step = GradientStep(loaded.model, streams=1, compute_dtype=mx.bfloat16, lasting=loaded.lasting)
    update = loaded.model.update

    def watch(parameters, *rest):
        from cptstudio.lm.parameters import flatten

        seen.update(f"{key} {value.dtype}" for key, value in flatten(parameters).items())
        return update(parameters, *rest)

    loaded.model.update = watch
    nats, _, gradients = step(batch[:, :-1], batch[:, 1:])
    mx.eval(nats, gradients)
    wide = [key for key in masters(loaded) if key in loaded.lasting]
    assert wide and not any(f"{key} {mx.bfloat16}" in seen for key in wide)
    assert f"{next(iter(masters(loaded) - loaded.lasting))} {mx.bfloat16}" in seen


@pytest.mark.parametrize("kind", ["bf16 with float32", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_merges_have_the_types_of_their_base(
    typed_base, tmp_path: Path, name: str, kind: str
) -> None:
    base = typed_base(name, kind)
    loaded, applied = prepared(base, "lora")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_weights(adapter, loaded, applied)
    merged = merge([Part(base, None, 0.5), Part(base, adapter, 0.5)])
    target = tmp_path / "merged"
    target.mkdir()
    save_model_folder(target, merged, named_parameters(merged.model))
    assert types_of(target) == types_of(base)
    # The adapter is still zero, and half and half of one number is that number.
    before, after = (mx.load(str(f / "model.safetensors")) for f in (base, target))
    assert [key for key in before if not mx.array_equal(before[key], after[key])] == []
