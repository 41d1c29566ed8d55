"""Text recognition (OCR): the engine that this machine has, and asking it to read a page.

The engines are others': the program tesseract where it is installed, and macOS's Vision where the
package `ocrmac` is. A page is read by a process of its own (`ocr_program`), which has a limit of
time and memory, ends with whoever asked, and says how it died.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cptstudio import macos
from cptstudio.child_limits import for_recognition
from cptstudio.child_service import ChildService
from cptstudio.errors import UserError

MODULE: Final = "cptstudio.corpus.ocr_program"
USUAL: Final = ("eng",)
"""What is read where no language is named."""
HOW_TO_GET: Final = (
    "Install tesseract (`apt install tesseract-ocr`, `brew install tesseract`) or, on a Mac, "
    "`pip install 'cpt-studio[ocr]'`."
)
_NO_LANGUAGES = ("osd", "equ")
_SECONDS = 20.0
_ANSWER_BYTES = 32 << 20
_FOLDER = re.compile(r'"(.+)"')


@dataclass(frozen=True)
class Engine:
    """A text recognition engine.

    Attributes:
        kind: how `ocr_program` calls it: "tesseract" or "vision".
        version: its name and version, as a report tells it.
        languages: that it can read, as tesseract names them.
        program: where it is; "" for Vision.
        data: the folder of its languages; None where that is not known.
    """

    kind: str
    version: str
    languages: tuple[str, ...]
    program: str = ""
    data: Path | None = None

    def identity(self, languages: Sequence[str]) -> str:
        """Return what is different when the same page may be read otherwise."""
        known = [self.version, *languages]
        for language in languages:
            try:
                assert self.data is not None
                content = (self.data / f"{language}.traineddata").read_bytes()
            except (AssertionError, OSError):
                continue
            known.append(hashlib.sha256(content).hexdigest())
        return "\n".join(known)


def find_engine() -> Engine | None:
    """Return the engine of this machine, None where it has none."""
    return _vision() or _tesseract()


engine_of_process = cache(find_engine)
"""The same, looked for once: for programs that read, each of which lives for one build."""


def engine_for(languages: Sequence[str]) -> Engine:
    """Return the engine, which can read these languages.

    Raises:
        UserError: there is none, or it cannot; its finding names the build's setting.
    """
    engine = engine_of_process()
    if engine is None:
        raise UserError.at("ocr", f"Text recognition (OCR) is not installed. {HOW_TO_GET}")
    missing = [language for language in languages if language not in engine.languages]
    if missing:
        raise UserError.at(
            "ocr_language",
            f"{engine.version} cannot read {', '.join(missing)}. Installed languages: "
            f"{', '.join(engine.languages) or 'none'}. To add one, install Debian's "
            "tesseract-ocr-LANGUAGE or Homebrew's tesseract-lang."
            if engine.kind == "tesseract"
            else f"Vision cannot read {', '.join(missing)}. Supported languages: "
            f"{', '.join(engine.languages)}.",
        )
    return engine


def engine_in_words(languages: Sequence[str]) -> str:
    """Return the engine with its version and the languages that it reads, for a report."""
    names = tuple(languages) or USUAL
    return f"{engine_for(names).version}: {', '.join(names)}"


def _vision() -> Engine | None:
    version = macos.vision_version()
    return None if version is None else Engine("vision", version, tuple(macos.VISION_LANGUAGES))


def _tesseract() -> Engine | None:
    program = shutil.which("tesseract")
    if program is None:
        return None
    version = _output(program, "--version").partition("\n")[0].strip()
    listed = _output(program, "--list-langs").splitlines()
    if not version.startswith("tesseract") or not listed:
        return None
    folder = _FOLDER.search(listed[0])
    languages = [name.strip() for name in listed[1:] if name.strip() not in _NO_LANGUAGES]
    return Engine(
        "tesseract", version, tuple(languages), program, Path(folder[1]) if folder else None
    )


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # Older versions write there.
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


@dataclass(frozen=True)
class RecognizedWord:
    """A word in a picture: its box in pixels from the upper left, and how sure it is, of 100."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    confidence: float


@dataclass(frozen=True)
class RecognizedLine:
    """A line in a picture.

    Attributes:
        words: from left to right.
        base: of the baseline in the line's middle, in pixels from the top.
        size: of its type in pixels, with what hangs below the baseline.
        slope: by how many pixels the baseline falls in one to the right.
        turned: by how many degrees it has to be turned clockwise to stand upright.
    """

    words: list[RecognizedWord]
    base: float
    size: float
    slope: float = 0.0
    turned: int = 0


class Recognizer:
    """Reads pictures of pages; to be closed.

    Args:
        languages: as tesseract names them.
        most: pages at most; None for any number.
        tell: called with the place of each page before it, which may take a while, and after it
            with None.
    """

    def __init__(
        self,
        languages: Sequence[str],
        *,
        most: int | None = None,
        tell: Callable[[str | None], None] = lambda place: None,
    ) -> None:
        self._languages = tuple(languages) or USUAL
        self._left = most
        self._tell = tell
        self._service: ChildService | None = None

    @property
    def exhausted(self) -> bool:
        """Return whether it reads no more pages."""
        return self._left is not None and self._left <= 0

    def read(self, picture: bytes, place: str) -> tuple[list[RecognizedLine], int]:
        """Read a picture.

        Args:
            picture: in shades of gray, as PGM.
            place: which page it is, for the progress.

        Returns:
            Its lines, and by how many degrees it was turned clockwise before.

        Raises:
            UserError: it cannot be read, or the engine died.
        """
        if self._left is not None:
            self._left -= 1
        self._tell(place)
        if self._service is None:
            self._service = ChildService(
                ("-m", MODULE),
                for_recognition,
                "Text recognition stopped.",
                line_limit=_ANSWER_BYTES,
            )
        engine = engine_for(self._languages)
        try:
            return self._asked(engine, picture)
        finally:
            self._tell(None)

    def _asked(self, engine: Engine, picture: bytes) -> tuple[list[RecognizedLine], int]:
        assert self._service is not None
        packed = base64.b64encode(zlib.compress(picture, 1)).decode("ascii")
        answer = self._service.ask(
            {
                "engine": engine.kind,
                "program": engine.program,
                "languages": self._languages,
                "picture": packed,
            }
        )
        return [_line(one) for one in answer["lines"]], int(answer["turn"])

    def close(self) -> None:
        """End its process."""
        if self._service is not None:
            self._service.close()


def _line(told: dict[str, Any]) -> RecognizedLine:
    return RecognizedLine(**{**told, "words": [RecognizedWord(*word) for word in told["words"]]})
