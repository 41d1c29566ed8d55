"""Texts to measure on that are no corpus: a file the user has beside them.

A `.jsonl` file holds one object a line with a "text"; any other file is one text, in UTF-8. The
texts are cleaned as documents of a corpus are, so that the same text has the same hash in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cptstudio import durable
from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.split import new_content_hash
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError

LARGEST = 64 * durable.MEBIBYTE


@dataclass(frozen=True)
class Text:
    """One text.

    Attributes:
        label: the file's name, with the line in a .jsonl file.
        text: cleaned.
        hash: of the text, as documents of a corpus have it.
    """

    label: str
    text: str
    hash: bytes


def read_text(path: Path, limit: int, shown: str | None = None) -> str:
    """Return a whole file in UTF-8.

    Args:
        path: a regular file.
        limit: bytes it may have.
        shown: what messages call it; None for its path.

    Raises:
        UserError: it is not there, too large, or other than UTF-8.
    """
    name = shown or str(path)
    try:
        return durable.read_bytes(path, limit).decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no file {name}.") from None
    except UnusableFileError as error:
        raise UserError(f"{name}: {error.reason}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8 text: invalid byte at position {error.start}."
        ) from None


def read_texts(path: Path, field: str = "text", name: str | None = None) -> list[Text]:
    """Return the texts of a file, empty ones left out.

    Args:
        field: what holds the text in a .jsonl file.
        name: what the user calls it, where it lies under another name; its ending decides.

    Raises:
        UserError: the file cannot be read, or a line of it is not what it should be.
    """
    shown = name or str(path)
    label = Path(shown).name
    data = read_text(path, LARGEST, shown)
    if not shown.endswith(".jsonl"):
        found = [_text(label, data)]
    else:
        found = [
            _text(f"{label}:{number}", _of_line(shown, number, line, field))
            for number, line in enumerate(data.split("\n"), 1)
            if line.strip()
        ]
    kept = [text for text in found if text.text.strip()]
    if not kept:
        raise UserError(f"{shown} contains no text.")
    return kept


def _of_line(shown: str, number: int, line: str, field: str) -> str:
    try:
        value = durable.parse_foreign_json(line)
    except ValueError as error:
        raise UserError(f"{shown}, line {number}: invalid JSON ({error}).") from None
    text = value.get(field) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise UserError(f"{shown}, line {number}: no text in {field!r}.")
    return text


def _text(label: str, raw: str) -> Text:
    text = "".join(Cleaner().clean([raw]))
    digest = new_content_hash()
    digest.update(text.encode("utf-8"))
    return Text(label, text, digest.digest())
