"""Is a fused model its base plus its adapter: the logits of both, for every way to train.

    python -m benchmarks.mlx_exports [MODEL]

MODEL is a folder, unpacked; the demo's own model where it is left out. Adapters get random factors
of the size that training gives them, are saved as a checkpoint is, fused as `export fuse --type
float32` does, and loaded back by mlx_lm. The 4-bit base is made of the model by mlx_lm. Ends with 1
when a logit differs by more than 1e-5 of the largest one: W x + s B (A x) and (W + s B A) x are
the same number, computed in another order.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx_lm
import numpy as np
import numpy.typing as npt

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.evaluation.model_check_program import PLAIN_TEXT
from cptstudio.lm.fusing import fuse
from cptstudio.lm.loading import load_for_training
from cptstudio.lm.methods import apply_method
from cptstudio.lm.parameters import set_parameters, trainable_parameters
from cptstudio.lm.saving import collect_weights
from cptstudio.settings import MethodSettings

DEMO: Final = Path(__file__).parent.parent / "src/cptstudio/data/demo-base"
TOLERANCE: Final = 1e-5
WAYS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("lora", {"kind": "lora"}),
    ("dora", {"kind": "dora"}),
    ("lora, embeddings", {"kind": "lora", "train_embeddings": True}),
)


def logits(model: Any, ids: mx.array) -> npt.NDArray[np.float32]:
    """Return the logits of some text, float32 [tokens, vocabulary]."""
    return np.array(model(ids)[0].astype(mx.float32))


def difference(
    base: Path, way: dict[str, Any], ids: mx.array, folder: Path
) -> tuple[float, float, float]:
    """Return how far a fused model is from base plus adapter, and that from the base alone.

    Both are the largest difference of a logit; the third is the largest logit. float32 is written,
    so that nothing is rounded.
    """
    loaded = load_for_training(base, method=way["kind"], compute_dtype=mx.float32)
    loaded.model.eval()
    before = logits(loaded.model, ids)
    method = apply_method(loaded, MethodSettings(rank=8, **way))
    key = mx.random.key(1)
    values = {}
    for name, value in trainable_parameters(loaded.model).items():
        key, own = mx.random.split(key)
        values[name] = value + 0.005 * mx.random.normal(value.shape, key=own)
    set_parameters(loaded.model, values)
    loaded.model.eval()
    expected = logits(loaded.model, ids)
    saved, fused = folder / "saved", folder / "fused"
    saved.mkdir()
    fused.mkdir()
    collect_weights(loaded, method).write(saved)
    if way.get("train_embeddings"):
        # Such a checkpoint is a complete model in the base's type, and that is what is exported.
        expected = logits(mlx_lm.load(str(saved))[0].apply(_wide), ids)
        fuse(saved, None).collected("float32").write(fused)
    else:
        fuse(base, saved).collected("float32").write(fused)
    found = logits(mlx_lm.load(str(fused))[0], ids)
    far, learned, largest = (
        float(np.abs(one).max()) for one in (found - expected, before - expected, expected)
    )
    return far, learned, largest


def _wide(value: mx.array) -> mx.array:
    return value.astype(mx.float32) if mx.issubdtype(value.dtype, mx.floating) else value


def main() -> None:
    """Print the table of differences."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    tokens = load_tokenizer(model).encode_batch([PLAIN_TEXT])[0][:96]
    ids = mx.array(tokens.astype(np.int32))[None]
    worst = 0.0
    print("| Base | Adapter | Fused differs by | of the largest logit | Without adapter |")
    print("|---|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as place:
        packed = Path(place) / "packed"
        mlx_lm.convert(str(model), str(packed), quantize=True, q_bits=4, q_group_size=64)
        for title, base in (("as it is", model), ("4-bit", packed)):
            for name, way in WAYS:
                folder = Path(place) / f"{title}-{name}".replace(" ", "-")
                folder.mkdir()
                far, learned, largest = difference(base, way, ids, folder)
                worst = max(worst, far / largest)
                share = f"{far / largest:.1e}"
                print(f"| {title} | {name} | {far:.1e} | {share} | {learned:.2g} |", flush=True)
                shutil.rmtree(folder)
                mx.clear_cache()
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
