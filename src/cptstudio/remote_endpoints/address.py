"""The address of an OpenAI-compatible endpoint, such as https://api.example.com/v1."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cptstudio.errors import UserError

_LONGEST: Final = 500
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_COMPLETIONS: Final = "/chat/completions"
_PORTS: Final = {"https": 443, "http": 80}
_EXAMPLE: Final = "https://api.example.com/v1"


@dataclass(frozen=True)
class Address:
    """Where an endpoint is.

    Attributes:
        text: the whole, in one spelling and without a slash at its end.
        host: its name with the port, where that is not the scheme's own: what the user confirms.
        is_encrypted: it is asked over TLS.
        is_local: it is on this machine.
    """

    text: str
    host: str
    is_encrypted: bool
    is_local: bool


def parse_address(given: str) -> Address:
    """Return an address as a user typed it.

    Raises:
        UserError: it is none, holds a secret, or leads where no endpoint is.
    """
    text = given.strip()
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise _wrong("Use at most 500 ASCII characters without spaces.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _wrong("It cannot be read.") from None
    if parts.scheme not in _PORTS:
        raise _wrong("It has to begin with https:// or, on your own network, http://.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # Not shown: what stands there may be a secret.
        raise _wrong(
            "Leave out user names, passwords, ? and #; the key comes from the environment or the "
            "keyring."
        )
    name = (parts.hostname or "").lower()
    host = f"[{name}]" if ":" in name else name
    path = parts.path.rstrip("/").removesuffix(_COMPLETIONS)
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or ".." in path or port == 0:
        raise _wrong("Its host, port or path cannot be right.")
    number = _ip_of(name)
    if number is not None and (number.is_link_local or number.is_multicast):
        raise _wrong(f"{host} is for machines among themselves, such as a cloud's own services.")
    if number is not None and number.is_unspecified:
        raise _wrong("Write 127.0.0.1 for this machine.")
    if port is not None and port != _PORTS[parts.scheme]:
        host = f"{host}:{port}"
    is_local = name == "localhost" or (number is not None and number.is_loopback)
    text = f"{parts.scheme}://{host}{path}"
    return Address(text, host, parts.scheme == "https", is_local)


def _ip_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


def _wrong(why: str) -> UserError:
    return UserError.at(
        "address", f"This is not the address of an endpoint, such as {_EXAMPLE}. {why}"
    )
