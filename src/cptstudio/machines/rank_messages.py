"""What a launcher and the keepers of its ranks say to each other, and how long each waits.

Both ways go through `mlx.launch` (and ssh, for other machines): the launcher's words are broadcast
to the standard input of every keeper, the keepers' come back in what they print. So no port is
opened for them. Keepers' messages are lines of their own among whatever else is printed. Standard
library only.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

Word = Literal["ping", "stop by you", "stop on request", "end"]
BEAT_SECONDS: Final = 1.0
"""Between two messages of a keeper, and two pings."""
SILENCE_SECONDS: Final = 15.0
"""After which whoever says nothing counts as lost. A machine that only has too much to do says
something in that time, and all have ended within 30 seconds."""
_MARK: Final = b"\x1e"


def frame(message: dict[str, Any]) -> bytes:
    """Return a keeper's message as it is printed: one line, in one piece."""
    return _MARK + json.dumps(message).encode() + b"\n"


def message_in(line: bytes) -> dict[str, Any] | None:
    """Return the message of a printed line; None where it is none, or was torn."""
    _, mark, text = line.rpartition(_MARK)
    if not mark:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("rank"), int) else None
