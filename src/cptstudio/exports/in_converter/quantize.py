"""Quantizes a GGUF file of floats as llama.cpp's mixtures do: `python quantize.py FROM TO TYPE`.

Run by the converter's Python. `libgguf` packs the rows; since it is young, every tensor is unpacked
by `gguf`, llama.cpp's own reader, and compared with what went in. One JSON object a line on
standard output: {"done", "total", "name"} for each tensor, then {"tensors": [...]} with type and
relative error of each.

Which tensor gets which type follows llama.cpp's `llama_tensor_get_type` (src/llama-quant.cpp): the
head and some of the layers' values and down projections get more bits; where a row is no multiple
of 256 weights, the nearest type with blocks of 32 takes its place.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import gguf
import libgguf
import numpy as np
from gguf import GGMLQuantizationType as Type

BASES = {"Q4_K_M": Type.Q4_K, "Q5_K_M": Type.Q5_K, "Q6_K": Type.Q6_K, "Q8_0": Type.Q8_0}
FILE_TYPES = {"Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "Q8_0": 7}
FALLBACK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}
MOST = {Type.Q4_K: 0.15, Type.Q5_0: 0.08, Type.Q5_K: 0.08, Type.Q5_1: 0.08, Type.Q6_K: 0.04}
"""Root mean square of the error over that of the weights: about twice what normally distributed
weights have. Q8_0 and 16-bit floats are below 0.01."""
LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.")
VALUES = ("attn_v", "attn_qkv", "attn_kv_b")
DOWNS = ("ffn_down", "ffn_down_exps", "ffn_down_shexp")
FLOATS = (Type.F32, Type.F16, Type.BF16)
# Small, and read as floats by llama.cpp's kernels, or too sensitive.
KEPT = re.compile(
    r"_norm\.weight$|ffn_gate_inp|ssm_conv1d|shortconv\.conv|altup|laurel|per_layer_model_proj"
    r"|position_embd|token_types|attn_rel_b|time_mix_(first|w0|w1|w2|v0|v1|v2|a0|a1|a2|g1|g2)"
    r"|time_mix_(decay_w1|decay_w2|lerp_fused)|indexer|rope_(freqs|factors)"
)


def gets_more(at: int, count: int) -> bool:
    """Whether a layer is one of those that get more bits."""
    eighth = count // 8
    return at < eighth or at >= 7 * count // 8 or (at - eighth) % 3 == 2


class Mixture:
    """Chooses the types of a model's tensors."""

    def __init__(self, kind: str, fields: dict[str, Any], names: set[str]) -> None:
        self.kind, self.base = kind, BASES[kind]
        architecture = fields["general.architecture"]
        self.falcon = architecture == "falcon"
        self.experts = int(fields.get(f"{architecture}.expert_count", 0))
        self.tied = "output.weight" not in names
        parts = [match for name in names if (match := LAYER.match(name))]
        self.layers = 1 + max((int(match[1]) for match in parts), default=0)
        # Layers that have such a tensor, in order: llama.cpp counts them.
        self.values = sorted(int(match[1]) for match in parts if match[2] in VALUES)
        self.downs = sorted({int(match[1]) for match in parts if match[2] in DOWNS})

    def type_of(self, name: str, shape: tuple[int, ...], now: Type) -> Type:
        """Return what a tensor is stored as; `shape` ends with the row."""
        if len(shape) < 2 or not name.endswith("weight") or KEPT.search(name) or now not in FLOATS:
            return now
        return self._that_fits(self._wanted(name), shape[-1])

    def _wanted(self, name: str) -> Type:
        if name == "output.weight" or (self.tied and name == "token_embd.weight"):
            return Type.Q8_0 if self.falcon or self.base == Type.Q8_0 else Type.Q6_K
        layer = LAYER.match(name)
        if layer is None or (self.kind in ("Q6_K", "Q8_0") and self.experts != 8):
            return self.base
        number, part = int(layer[1]), layer[2]
        if part in (*VALUES, "attn_k") and self.experts == 8:
            return Type.Q8_0
        if self.kind in ("Q6_K", "Q8_0"):
            return self.base
        if part in VALUES:
            at = self.values.index(number)
            return Type.Q6_K if gets_more(at, len(self.values)) else self.base
        if part == "attn_output" and self.experts == 8 and self.kind == "Q4_K_M":
            return Type.Q5_K
        if part in DOWNS:
            at = number if self.experts > 1 else self.downs.index(number)
            return self._down(at)
        return self.base

    def _down(self, at: int) -> Type:
        if not self.falcon or self.kind != "Q4_K_M":
            return Type.Q6_K if gets_more(at, self.layers) else self.base
        if at < self.layers // 16:
            return Type.Q6_K
        return Type.Q5_K if gets_more(at, self.layers) else self.base

    @staticmethod
    def _that_fits(wanted: Type, width: int) -> Type:
        if wanted in FALLBACK and width % 256:
            wanted = FALLBACK[wanted]
        return Type.F16 if width % 32 else wanted


def main(source: str, target: str, kind: str) -> None:
    """Write the quantized file."""
    reader = gguf.GGUFReader(source)
    fields = {name: field for name, field in reader.fields.items() if name[:5] != "GGUF."}
    known = {"general.architecture": fields["general.architecture"].contents()}
    known |= {n: f.contents() for n, f in fields.items() if n.endswith(".expert_count")}
    mixture = Mixture(kind, known, {tensor.name for tensor in reader.tensors})
    writer = gguf.GGUFWriter(target, known["general.architecture"])
    copy_fields(fields, writer, kind)
    types = {t.name: mixture.type_of(t.name, shape_of(t), t.tensor_type) for t in reader.tensors}
    for tensor in reader.tensors:
        shape, qtype = shape_of(tensor), types[tensor.name]
        rows, row = int(np.prod(shape[:-1], dtype=np.int64)), bytes_of_row(shape[-1], qtype)
        packed = (*shape[:-1], row) if qtype not in (Type.F32, Type.F16) else shape
        dtype = {Type.F32: np.float32, Type.F16: np.float16}.get(qtype, np.uint8)
        writer.add_tensor_info(tensor.name, packed, np.dtype(dtype), rows * row, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    told, total = [], sum(int(tensor.n_bytes) for tensor in reader.tensors)
    done = 0
    for tensor in reader.tensors:
        data, error = packed_tensor(tensor, types[tensor.name])
        writer.write_tensor_data(data)
        done += int(tensor.n_bytes)
        told.append({"name": tensor.name, "type": types[tensor.name].name, "error": error})
        print(json.dumps({"done": done, "total": total, "name": tensor.name}), flush=True)
    writer.close()
    print(json.dumps({"tensors": told}), flush=True)


def copy_fields(fields: dict[str, Any], writer: Any, kind: str) -> None:
    """Give the writer all that a file says besides its tensors."""
    for name, field in fields.items():
        if name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        value_type = field.types[0]
        sub_type = field.types[-1] if value_type == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), value_type, sub_type=sub_type)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's shape, its rows last."""
    return tuple(int(size) for size in reversed(tensor.shape))


def bytes_of_row(width: int, qtype: Type) -> int:
    """Return what a row of so many weights takes."""
    block, size = gguf.GGML_QUANT_SIZES[qtype]
    return int(width // block * size)


def packed_tensor(tensor: Any, qtype: Type) -> tuple[Any, float]:
    """Return a tensor as it is written, and how far it is from what it was, relatively."""
    if qtype == tensor.tensor_type:
        return tensor.data, 0.0
    weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    weights = weights.reshape(shape_of(tensor))
    if qtype == Type.F16:
        data = weights.astype(np.float16)
    else:
        data = libgguf.quantize_rows(weights, int(qtype))
    return data, checked(tensor.name, weights, data, qtype)


def checked(name: str, weights: Any, data: Any, qtype: Type) -> float:
    """Unpack a tensor with llama.cpp's own reader; its relative error, or the end."""
    again = gguf.dequantize(data, qtype).reshape(weights.shape)
    scale = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
    error = float(np.sqrt(np.mean(np.square(again - weights, dtype=np.float64))))
    relative = error / scale if scale else error
    if not relative <= MOST.get(qtype, 0.01):
        raise SystemExit(
            f"{name} as {qtype.name} comes back with a relative error of {relative:.3g}, where "
            f"{MOST.get(qtype, 0.01)} is the most that rounding explains"
        )
    return relative


if __name__ == "__main__":
    main(*sys.argv[1:4])
