"""Models whose files make whoever reads them compute without end, or take all memory."""

from __future__ import annotations

import contextlib
import json
import shutil
from importlib import resources
from pathlib import Path

import psutil


def our_children() -> list[psutil.Process]:
    """Programs of ours below this process, which has others too, such as a browser's driver."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(part.startswith("cptstudio.") for part in child.cmdline()):
                found.append(child)
    return found


def growing_tokenizer(folder: Path, doublings: int, letter: str = "a") -> Path:
    """The demo's model, whose tokenizer doubles a letter many times before it splits the text.

    Loading a tokenizer encodes an "a" once. 22 doublings take four seconds inside the
    tokenizers library, and each further one twice the time and memory.
    """
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    twice = {"type": "Replace", "pattern": {"String": letter}, "content": letter * 2}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [twice] * doublings}
    file.write_text(json.dumps(tokenizer))
    return folder
