"""The two corpora: R's manuals, which the model is to learn, and Python's documentation.

R's manuals come as one large HTML file each (Debian's `r-doc-html`). They are cut where their
makers cut them for separate pages, so that sections can be held out.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cptstudio import demo
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace

DOMAIN = "r-manuals"
GENERAL = "python-documentation"
MANUALS = Path("/usr/share/R/doc/manual")
"""Where Debian's package puts them."""
INSTRUCT = "instruct"
HELD_OUT = BuildSettings(validation=0.05, test=0.1)
_SMALLEST = 400
_CUT = re.compile(r"<hr>\s*")


def sections(manuals: Path) -> Iterator[tuple[str, str]]:
    """Yield names and texts of the manuals' sections, as HTML."""
    for path in sorted(manuals.glob("R-*.html")):
        text = path.read_text(encoding="utf-8")
        for number, part in enumerate(_CUT.split(text)):
            yield f"{path.stem}-{number:03d}.html", f"<html><body>{part}</body></html>"


def make_corpora(
    workspace: Workspace, model: Path, manuals: Path, documents: int | None = None
) -> dict[str, Corpus]:
    """Return both corpora, built when they are not there.

    Raises:
        UserError: the manuals are not where they were looked for.
    """
    if not any(manuals.glob("R-*.html")):
        raise UserError(f"{manuals} holds no R-*.html. Install r-doc-html, or use --manuals.")
    for name, texts in ((GENERAL, demo.documentation()), (DOMAIN, sections(manuals))):
        if name in workspace.corpus_names():
            continue
        folder = workspace.make(workspace.root / "sources" / name)
        for file_name, text in islice(texts, documents):
            if len(text) >= _SMALLEST:
                (folder / file_name).write_text(text, encoding="utf-8")
        build_corpus(workspace.corpus(name), [folder], HELD_OUT, model)
    return {name: open_corpus(workspace.corpus(name)) for name in (GENERAL, DOMAIN)}


def place_model(workspace: Workspace, model: Path) -> Path:
    """Return the instruct model's folder in the workspace."""
    folder = workspace.base_model(INSTRUCT)
    if not folder.exists():
        shutil.copytree(model, folder)
    return folder
