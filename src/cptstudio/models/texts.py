"""The texts that come with a model: its card and its license. They are shown as text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.models.card import CARD, CARD_LIMIT, body_of

_TEXTS: Final = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|[a-z_]*(?:policy|terms)[a-z_]*)(?:[-._][a-z0-9._-]{1,40})?",
    re.IGNORECASE,
)
_SUFFIXES: Final = frozenset({"", ".md", ".txt", ".rst"})
_MOST: Final = 20


@dataclass(frozen=True)
class TextFile:
    """A text in a model's folder; `bytes` of it, whole."""

    name: str
    bytes: int


def texts_of(folder: Path, home: Path) -> list[TextFile]:
    """The texts in a model's folder: the card first, then the others by name.

    Args:
        folder: of the model.
        home: what a text must lie in, also where its name is a link: a folder is somebody else's,
            and a link in it may lead anywhere. It is the folder itself, or the model's folder in
            the Hugging Face cache, whose snapshots are links.
    """
    found = []
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (path.name != CARD, path.name))
    except OSError:
        return []
    for path in entries:
        if _TEXTS.fullmatch(path.name) is None or path.suffix.lower() not in _SUFFIXES:
            continue
        try:
            if path.is_file() and durable.real_path(path).is_relative_to(durable.real_path(home)):
                found.append(TextFile(path.name, path.stat().st_size))
        except OSError:
            continue
    return found[:_MOST]


def read_text(folder: Path, home: Path, name: str) -> str:
    """Return one of `texts_of`, a card without its front matter; at most `CARD_LIMIT` bytes.

    Raises:
        UserError: it is none of them, or cannot be read.
    """
    if name not in [text.name for text in texts_of(folder, home)]:
        raise UserError(f"There is no text {name!r} with this model.")
    file = folder / name
    try:
        with durable.open_regular_file(durable.real_path(file)) as opened:
            text = opened.read(CARD_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        raise UnusableFileError(file, "is not there any more") from None
    return body_of(text) if name == CARD else text
