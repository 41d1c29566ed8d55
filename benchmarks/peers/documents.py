"""Text that every machine has: the standard library's source files and their documentation.

Documentation is the interpreter's help topics and the docstrings of modules and classes that
are long enough to be read on their own.

The documents keep their natural lengths. Which of them are used is decided by a hash of their
content, so that the same Python release gives the same documents, in the same mixed order, on
every machine.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sysconfig
import warnings
from pathlib import Path
from pydoc_data import topics

# Tests, and modules that some distributions leave out or newer releases dropped.
_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "distutils",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)


def standard_library_documents(max_bytes: int) -> list[str]:
    """Documents of the running interpreter's library, in an order of their hashes.

    Args:
        max_bytes: the size of all of them together, in UTF-8 bytes, stays below this.
    """
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = [str(text) for text in topics.topics.values()]
    for path in folder.rglob("*.py"):
        if not _LEFT_OUT & set(path.relative_to(folder).parts):
            source = path.read_text(encoding="utf-8", errors="replace")
            texts += [source, *docstrings(source)]
    mixed = sorted(
        {text for text in texts if text.strip()},
        key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest(),
    )
    chosen: list[str] = []
    size = 0
    for text in mixed:
        size += len(text.encode("utf-8", "replace"))
        if size > max_bytes:
            break
        chosen.append(text)
    return chosen


def docstrings(source: str) -> list[str]:
    """Docstrings of at least 200 characters of a module and its classes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    described = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef))
    found = (ast.get_docstring(node) or "" for node in described)
    return [text for text in found if len(text) >= 200]


def write_documents(documents: list[str], folder: Path) -> None:
    """Write the documents in both forms.

    train.jsonl, with a field "text", is what all peers read; texts/ has a file for each.
    """
    texts = folder / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    with (folder / "train.jsonl").open("w", encoding="utf-8") as lines:
        for number, text in enumerate(documents):
            lines.write(json.dumps({"text": text}) + "\n")
            (texts / f"{number:06d}.txt").write_text(text, encoding="utf-8")
