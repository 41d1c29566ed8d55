"""The weight files of a model folder, by their headers: names, types and shapes of its tensors.

Nothing is loaded. Files are opened through links, because the Hugging Face cache keeps snapshots
as links to its blobs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio.durable import (
    UnusableFileError,
    open_regular_file,
    parse_foreign_json,
    read_foreign_json,
    real_path,
)
from cptstudio.errors import UserError
from cptstudio.workspace import why_model_is_absent

HEADER_SIZE_LIMIT = 100_000_000
"""Largest header that the safetensors format allows, in bytes."""


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header.

    Attributes:
        dtype: as the format writes it, such as "BF16" or "U32".
        shape: sizes of the axes.
        file: name of the file that holds it.
        bytes: size of its data.
        start: where its data begin in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    file: str
    bytes: int
    start: int = 0


def check_present(path: Path, what: str = "base model") -> None:
    """Refuse a folder of a base model, or of what is named, that is not where it was.

    Raises:
        UserError: nothing is there.
    """
    absence = why_model_is_absent(path, what)
    if absence is not None:
        raise UserError(absence)


def weight_files(path: Path) -> list[Path]:
    """Return the weight files of a model folder that mlx-lm reads, sorted by name.

    Raises:
        UserError: there are none; the message says what is there instead.
    """
    files = sorted(path.glob("model*.safetensors"))
    if files:
        return files
    check_present(path)
    if list(path.glob("*.bin")) or list(path.glob("*.pt")) or list(path.glob("*.pth")):
        raise UserError(
            f"{path} has only pickle weights (*.bin), which can run any code when loaded. "
            "Use a version of the model with .safetensors files."
        )
    if list(path.glob("*.gguf")):
        raise UserError(
            f"{path} contains a GGUF file, which cannot be trained. Use the original "
            "model with .safetensors files."
        )
    raise UserError(
        f"{path} has no weights (model*.safetensors). Check that the download is complete."
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Names, types and shapes of all tensors in a model folder's weight files.

    Raises:
        UserError: a file is missing, cut off or not in the safetensors format.
    """
    files = weight_files(path)
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= read_header(file)
    missing = sorted(_indexed_files(path) - {file.name for file in files})
    if missing and all((path / name).exists() for name in missing):
        raise UserError(
            f"{path} has weights in {missing[0]}, but mlx-lm reads only files named "
            "model*.safetensors. Use a version of the model with such names."
        )
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of its weight files ({missing[0]}"
            f"{' and others' if len(missing) > 1 else ''}). Download the model again."
        )
    return tensors


def _indexed_files(path: Path) -> set[str]:
    try:
        index = read_foreign_json(path / "model.safetensors.index.json")
    except (FileNotFoundError, ValueError):
        return set()
    names = index.get("weight_map") if isinstance(index, dict) else None
    return set(map(str, names.values())) if isinstance(names, dict) else set()


def read_header(file: Path) -> dict[str, Tensor]:
    """Return the header of one safetensors file, checked against the file's size.

    The format: 8 bytes with the header's length (little endian), the header as JSON, then the
    data (github.com/huggingface/safetensors#format).

    Raises:
        UnusableFileError: it is cut off or not in this format.
    """
    with open_regular_file(real_path(file)) as stream:
        start = stream.read(8)
        if len(start) < 8:
            raise UnusableFileError(file, "is truncated. Download the model again.")
        (length,) = struct.unpack("<Q", start)
        if length > HEADER_SIZE_LIMIT:
            raise UnusableFileError(file, "is not a safetensors file.")
        header = stream.read(length)
        size = stream.seek(0, 2)
    if len(header) < length:
        raise UnusableFileError(file, "is truncated in its header. Download the model again.")
    try:
        return _parse_header(parse_foreign_json(header), file, size, 8 + length)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnusableFileError(file, "has a damaged header. Download the model again.") from None


def _parse_header(header: Any, file: Path, size: int, data: int) -> dict[str, Tensor]:
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end:
            raise ValueError
        if end > size - data:
            raise UnusableFileError(
                file,
                f"is truncated: at least {end - size + data:,} bytes are missing. "
                "Download the model again.",
            )
        shape = tuple(int(size) for size in entry["shape"])
        tensors[name] = Tensor(str(entry["dtype"]), shape, file.name, end - begin, data + begin)
    return tensors
