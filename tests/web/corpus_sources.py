"""Documents and a model for tests that build corpora through the interface."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

MODEL = "demo-base"


def install_demo_model(workspace: Path) -> None:
    """The demo's base model, as one of the workspace."""
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, workspace / "models" / "base" / MODEL)


def write_documents(folder: Path) -> Path:
    """A folder of 40 documents, a copy of one, nearly a copy, a damaged file and a secret."""
    folder.mkdir(parents=True)
    for number in range(40):
        words = " ".join(f"word{(number * 7919 + place * place) % 997}" for place in range(120))
        (folder / f"{number:02}.txt").write_text(f"Document {number}. {words}\n")
    first = (folder / "00.txt").read_text()
    (folder / "copy.txt").write_text(first)
    (folder / "nearly.txt").write_text((folder / "01.txt").read_text() + "One more sentence.")
    (folder / "damaged.pdf").write_bytes(b"%PDF-1.4 not really")
    (folder / ".env").write_text("SECRET_TOKEN=hidden")
    return folder


def write_much_text(folder: Path, megabytes: int = 25) -> Path:
    """A file whose reading takes seconds."""
    folder.mkdir(parents=True)
    with (folder / "large.txt").open("w") as file:
        for part in range(megabytes):
            numbers = range(part * 100_000, part * 100_000 + 100_000)
            file.write(" ".join(map(str, numbers)) + "\n")
    return folder
