"""Values that would be commands or options, if a shell or a program took them so."""

from __future__ import annotations

from typing import Final

_INSIDE: Final = (
    ";touch HIT", "&touch HIT", "&&touch HIT", "|touch HIT", "||touch HIT", "\ntouch HIT",
    "\r\ntouch HIT", "\n", "`touch HIT`", "$(touch HIT)", "${IFS}touch", "$HOME", "$((1))", ">HIT",
    "<HIT", ">>HIT", "2>HIT", "<(touch HIT)", "'", '"', "';touch HIT;'", '";touch HIT;"',
    "\\", "\\;touch HIT", "*", "?", "[a]", "{a,b}", "!1", "!touch", "#", "~/x", "^a^b", "%h", "%n",
    "\0", "\t", "\x1b[2J", "\u2028", "\u202e", "=(touch HIT)", "(touch HIT)", " -rf",
)  # fmt: skip
_WHOLE: Final = (
    "-oProxyCommand=touch HIT", "--hostfile=/x", "-F/tmp/x", "-", "--", "-tt", "", " ", "~", "..",
)  # fmt: skip
PAYLOADS: Final = (*[f"a{part}" for part in _INSIDE], *_WHOLE)
PATHS: Final = (*[f"/a{part}" for part in _INSIDE], *_WHOLE)
