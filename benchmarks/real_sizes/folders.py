"""Folders of published models that hold everything but the weights.

Each has the published configuration (configurations.json, with the source of each), the names,
types and shapes of its tensors, in shards with an index as they are published, and sparse files:
a model of 240 GB takes some megabytes of disk. What the tensors are called and how large they are
transformers says, whose networks are built on its meta device, without a number in them; packed
models are made of these as mlx-lm packs them.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "configurations.json"
_RECOMMENDED = Path(str(files("cptstudio"))) / "data" / "recommended_models.json"
_SHARD = 5 * 10**9
"""Bytes of one file, as save_pretrained cuts them."""
_BYTES = {"F32": 4, "BF16": 2, "F16": 2, "U32": 4, "U8": 1, "I64": 8}
_TOWERS = ("visual", "vision_tower", "multi_modal_projector", "embed_vision")
"""What transformers' networks call the parts that see images."""
_GROUP = 64
"""Weights that share a scale, as mlx_lm.convert chooses."""


@dataclass(frozen=True)
class Published:
    """One published model.

    Attributes:
        kind: in words, such as "mixture, sharded".
        source: where its configuration was found.
        published: number of parameters that somebody else says it has; None where none was found.
        published_source: who says so.
        bits: it is published packed by mlx-lm with so many bits; None where it is not.
    """

    name: str
    kind: str
    source: str
    config: dict[str, Any]
    published: int | None = None
    published_source: str | None = None
    bits: int | None = None


Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""Type, as safetensors names it, and shape of each tensor by its name."""


def published_models() -> list[Published]:
    """All of them, from small to large.

    The configurations of models that the product recommends lie in the product.
    """
    told = {one["id"]: one["config"] for one in json.loads(_RECOMMENDED.read_text("utf-8"))}
    models = json.loads(_DATA.read_text(encoding="utf-8"))
    for one in models:
        if isinstance(one["config"], str):
            one["config"] = told[one["config"]]
    return [Published(**one) for one in models]


# --- what transformers knows ----------------------------------------------------------------------


def build_on_meta(config: Mapping[str, Any], folder: Path) -> tuple[Any, int]:
    """Return transformers' network without numbers, and the parameters of its language part.

    Args:
        config: published.
        folder: any, for the configuration to be read from.
    """
    import torch
    import transformers

    written = {name: value for name, value in config.items() if name != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
    settings = transformers.AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        network = getattr(transformers, config["architectures"][0])(settings)
    seen = {id(one) for part in _TOWERS for one in _parameters(network.base_model, part)}
    # A head that shares the embedding's weights is one parameter with it.
    return network, sum(one.numel() for one in network.parameters() if id(one) not in seen)


def _parameters(network: Any, part: str) -> Iterator[Any]:
    tower = getattr(network, part, None)
    return iter(()) if tower is None else tower.parameters()


def published_shapes(config: Mapping[str, Any], network: Any) -> Shapes:
    """Return the tensors that a published model has in its files."""
    from transformers.core_model_loading import revert_weight_conversion

    tied = set(getattr(network, "all_tied_weights_keys", None) or ())
    own = {name: value for name, value in network.state_dict().items() if name not in tied}
    wide = _lasting(network)
    shapes: Shapes = {}
    for name, value in revert_weight_conversion(network, own).items():
        dtype = "F32" if any(name.endswith(one) for one in wide) else "BF16"
        shapes[name] = (dtype, tuple(value.shape))
    if dict(config.get("quantization_config") or {}).get("quant_method") == "mxfp4":
        shapes = dict(_as_mxfp4(shapes))
    return shapes


def _lasting(network: Any) -> tuple[str, ...]:
    """Ends of the names of tensors that transformers keeps in float32."""
    return tuple(getattr(network, "_keep_in_fp32_modules_strict", None) or ())


def _as_mxfp4(shapes: Shapes) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Experts packed by OCP's MXFP4: 32 numbers of 4 bits share a scale of 8 bits."""
    for name, (dtype, shape) in shapes.items():
        if name.endswith((".gate_up_proj", ".down_proj")) and len(shape) == 3:
            experts, inputs, outputs = shape
            yield f"{name}_blocks", ("U8", (experts, outputs, inputs // 32, 16))
            yield f"{name}_scales", ("U8", (experts, outputs, inputs // 32))
        else:
            yield name, (dtype, shape)


# --- what mlx-lm makes of it ----------------------------------------------------------------------


def packed_shapes(folder: Path, bits: int) -> tuple[Shapes, dict[str, Any]]:
    """Return the tensors and the configuration that mlx_lm.convert writes for a folder.

    No weight is read: MLX is lazy.
    """
    from mlx_lm.utils import quantize_model

    from cptstudio.lm.loading import load_network
    from cptstudio.lm.parameters import named_parameters

    network, config = load_network(folder)
    network, config = quantize_model(network, config, _GROUP, bits)
    names = {"uint32": "U32", "bfloat16": "BF16", "float32": "F32", "float16": "F16"}
    shapes = {
        name: (names[str(value.dtype).rpartition(".")[2]], tuple(value.shape))
        for name, value in named_parameters(network).items()
    }
    return shapes, config


# --- files ------------------------------------------------------------------------------------


def write_folder(folder: Path, config: Mapping[str, Any], shapes: Shapes) -> None:
    """Write a model's folder: its configuration, its shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shards: list[Shapes] = [{}]
    filled = 0
    for name, one in shapes.items():
        size = _size(one)
        if filled and filled + size > _SHARD:
            shards.append({})
            filled = 0
        shards[-1][name] = one
        filled += size
    index = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        if len(shards) == 1:
            file = "model.safetensors"
        _write_sparse(folder / file, shard)
        index.update(dict.fromkeys(shard, file))
    if len(shards) > 1:
        total = sum(map(_size, shapes.values()))
        content = {"metadata": {"total_size": total}, "weight_map": index}
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps(content), encoding="utf-8")


def _size(one: tuple[str, tuple[int, ...]]) -> int:
    return _BYTES[one[0]] * math.prod(one[1])


def _write_sparse(path: Path, shapes: Shapes) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in shapes.items():
        start, end = end, end + _size((dtype, shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
