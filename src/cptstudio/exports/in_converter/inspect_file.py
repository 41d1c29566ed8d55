"""Tells what a GGUF file holds, without its weights: `python inspect_file.py FILE`.

Run by the converter's Python, whose `gguf` reads it. One JSON object on standard output: "fields"
by name, and "tensors", each with name, type and shape.
"""

from __future__ import annotations

import json
import sys

import gguf


def main(file: str) -> None:
    """Print what is in the file."""
    reader = gguf.GGUFReader(file)
    fields = {
        name: field.contents() for name, field in reader.fields.items() if name[:5] != "GGUF."
    }
    tensors = [
        {
            "name": tensor.name,
            "type": tensor.tensor_type.name,
            "shape": [int(size) for size in reversed(tensor.shape)],
            "bytes": int(tensor.n_bytes),
        }
        for tensor in reader.tensors
    ]
    json.dump({"fields": fields, "tensors": tensors}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
