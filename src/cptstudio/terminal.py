"""Output that works on any terminal, and in which no name can command a terminal.

Names of files, folders and models are others' text. Printed raw, an ESC in one of them moves the
cursor, hides lines or sets the title (ECMA-48), and a letter that the terminal's encoding lacks
ends the program that prints it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TextIO

# Controls but tab and newline; line separators and changes of direction; halves of characters,
# which stand for bytes that are no text.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return the text with everything that would command a terminal written out, such as \x1b."""
    return CONTROL.sub(_written_out, text)


def prepare() -> None:
    r"""Let nothing that is printed fail: what the encoding lacks is written out, such as \u20ac.

    Every program calls this first.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def write(stream: TextIO, text: str) -> None:
    """Write at once; what nobody can read is lost, and never ends what the text is about.

    Its reader may be gone (`| head`, a closed window), or its disk full. A stream without a reader
    leads nowhere from then on, so that Python and libraries do not stumble over it either.
    """
    try:
        stream.write(text)
        stream.flush()
    except (BrokenPipeError, ConnectionResetError):
        let_go(stream)
    except OSError as error:
        if error.errno == errno.EIO:
            let_go(stream)


def let_go(stream: TextIO) -> None:
    """Let a stream without a reader lead nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def shows_blocks(stream: TextIO) -> bool:
    """Return whether a stream takes signs such as block elements."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
