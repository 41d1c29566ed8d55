"""Under which addresses the server is reached, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cptstudio.web.options import ServerOptions
from cptstudio.web.security.entry import EntryCode
from cptstudio.web.security.sessions import Sessions

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Access:
    """What the gate compares a request with.

    Attributes:
        scheme: "http" or "https".
        port: the server listens on.
        authorities: exact values of the Host header that are served.
        sessions: who is signed in.
        entry: the browser's way in.
        sockets: how many WebSockets may be open at once. Each keeps one of the server's
            threads for as long as it lasts.
        waiting_polls: how many long polls of Socket.IO may wait at once, for the same reason.
    """

    scheme: str
    port: int
    authorities: frozenset[str]
    sessions: Sessions
    entry: EntryCode
    sockets: int = 44
    waiting_polls: int = 8
    origins: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        origins = frozenset(f"{self.scheme}://{authority}" for authority in self.authorities)
        object.__setattr__(self, "origins", origins)

    @property
    def cookie(self) -> str:
        """The cookie's name. Cookies know no ports, so the name does."""
        return f"cpt-studio-{self.port}"


def make_access(options: ServerOptions, private: Path, port: int, token: str) -> Access:
    """The access to a server with these options on this port."""
    names = [*_LOOPBACK_NAMES, *options.allow_hosts]
    suffix = "" if port == _DEFAULT_PORTS[options.scheme] else f":{port}"
    return Access(
        scheme=options.scheme,
        port=port,
        authorities=frozenset(f"{name.lower()}{suffix}" for name in names),
        sessions=Sessions(token, private),
        entry=EntryCode(private, origin_of(options, port)),
    )


def origin_of(options: ServerOptions, port: int) -> str:
    """The address that is shown to the user.

    With TLS the certificate is for the allowed name, not for the loopback address.
    """
    if options.certfile and options.allow_hosts:
        name = options.allow_hosts[0]
    elif options.on_loopback:
        name = f"[{options.host}]" if ":" in options.host else options.host
    else:
        name = options.allow_hosts[0]
    return f"{options.scheme}://{name}:{port}"
