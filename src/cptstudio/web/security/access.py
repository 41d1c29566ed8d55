"""Under which addresses the server is reached, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cptstudio.web.options import ServerOptions
from cptstudio.web.security.boot import Boot
from cptstudio.web.security.entry import EntryCode
from cptstudio.web.security.links import Links
from cptstudio.web.security.proofs import Proofs
from cptstudio.web.security.sessions import Session, Sessions

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Address:
    """One of the server's addresses.

    Attributes:
        origin: scheme, name and port, as browsers write it.
        proxied: a proxy with TLS is in front, as `--public-url` says.
    """

    origin: str
    proxied: bool = False

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return self.origin.partition("://")[2]

    @property
    def is_secure(self) -> bool:
        """Return whether browsers come over TLS."""
        return self.origin.startswith("https:")


@dataclass(frozen=True)
class Access:
    """The facts that the gate compares a request with.

    Attributes:
        port: the server listens on.
        addresses: under which it is served; the first one is shown to the user.
        aliases: values of the Host header from which a visitor is sent to the first address.
        boot: of the server.
        sessions: who is signed in.
        proofs: how pages and server recognize each other.
        entry: the browser's way in.
        links: for downloads.
        sockets: how many WebSockets may be open at once. Each keeps one of the server's
            threads for as long as it lasts.
        waiting_polls: how many long polls of Socket.IO may wait at once, for the same reason.
    """

    port: int
    addresses: tuple[Address, ...]
    aliases: frozenset[str]
    boot: Boot
    sessions: Sessions
    proofs: Proofs
    entry: EntryCode
    links: Links = field(default_factory=Links)
    sockets: int = 44
    waiting_polls: int = 8
    origins: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", frozenset(one.origin for one in self.addresses))

    @property
    def cookie(self) -> str:
        """The cookie's name. Cookies know no ports, so the name does."""
        return f"cpt-studio-{self.port}"

    def address_of(self, host: str) -> Address | None:
        """Return the address that a Host header names."""
        return next((one for one in self.addresses if one.authority == host.lower()), None)

    def sessions_of(self, cookies: list[str]) -> list[Session]:
        """Return the sessions that cookies of our name prove.

        A page on another port can set a cookie of our name, too. So there may be several, and
        each is tried.
        """
        found = (self.sessions.identify(cookie) for cookie in cookies)
        return [session for session in found if session is not None]


def make_access(
    options: ServerOptions, private: Path, port: int, token: str, boot: Boot | None = None
) -> Access:
    """Return the access to a server with these options on this port."""
    boot = boot or Boot()
    addresses = _addresses(options, port)
    suffix = _suffix(options.scheme, port)
    aliases = {f"{name}{suffix}" for name in _LOOPBACK_NAMES}
    sessions = Sessions(token, private, boot)
    return Access(
        port=port,
        addresses=addresses,
        aliases=frozenset(aliases - {one.authority for one in addresses}),
        boot=boot,
        sessions=sessions,
        proofs=Proofs(token, sessions, boot),
        entry=EntryCode(private, addresses[0].origin),
    )


def origin_of(options: ServerOptions, port: int) -> str:
    """Return the address that is shown to the user.

    With TLS the certificate is for the allowed name, not for the loopback address.
    """
    return _addresses(options, port)[0].origin


def _addresses(options: ServerOptions, port: int) -> tuple[Address, ...]:
    """All addresses; the one to show comes first.

    Without TLS a loopback name other than the address that the server listens on is none of them:
    `localhost` may lead to ::1 first, where another user's program can listen on the same port.
    """
    scheme, suffix = options.scheme, _suffix(options.scheme, port)
    allowed = [
        f"{scheme}://{name.lower()}{'' if _has_port(name) else suffix}"
        for name in options.allow_hosts
    ]
    here = f"[{options.host}]" if ":" in options.host else options.host
    if options.certfile:
        loopback = [f"{scheme}://{name}{suffix}" for name in _LOOPBACK_NAMES]
        origins = [*allowed, *loopback]
    elif options.on_loopback:
        origins = [f"{scheme}://{here}{suffix}", *allowed]
    else:
        origins = [*allowed, f"{scheme}://127.0.0.1{suffix}"]
    if options.certfile and options.on_loopback and not allowed:
        origins = [f"{scheme}://{here}{suffix}", *origins]
    found = [Address(origin) for origin in dict.fromkeys(origins)]
    if options.public_url:
        public = urlsplit(options.public_url)
        name = public.netloc.lower().removesuffix(f":{_DEFAULT_PORTS[public.scheme]}")
        found.append(Address(f"{public.scheme}://{name}", proxied=True))
    return tuple(found)


def _suffix(scheme: str, port: int) -> str:
    return "" if port == _DEFAULT_PORTS[scheme] else f":{port}"


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and not name.endswith("]")
