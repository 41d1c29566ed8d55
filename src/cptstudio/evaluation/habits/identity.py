"""What decides how a model is asked and when it stops, besides its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_FILES: Final = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)


def asking_identity(folder: Path) -> str:
    """Return a hash of a model folder's tokenizer, chat template and ends of text."""
    total = hashlib.sha256()
    for name in _FILES:
        path = folder / name
        if path.is_file():
            total.update(f"{name}\0{path.stat().st_size}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()
