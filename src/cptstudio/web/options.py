"""How the server is started: one table of options for both commands that start it."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cptstudio.errors import UserError

DEFAULT_PORT = 8763
THREADS = 64
"""Requests that are answered at the same time."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NAME_AND_PORT = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_HOST_NAME = re.compile(_NAME_AND_PORT)
_PUBLIC_URL = re.compile(f"https://{_NAME_AND_PORT}/?", re.IGNORECASE)
_LEVELS = ("debug", "info", "warning", "error")

_EPILOG = """\
examples:
  %(prog)s                         serve the workspace in the current folder
  %(prog)s --demo                  make a demo workspace in ./demo first, and serve that
  %(prog)s -w ~/studio --port 9000 another workspace, and exactly this port
  %(prog)s --host 0.0.0.0 --allow-host studio.lan --certfile cert.pem --keyfile key.pem
  %(prog)s --allow-host 127.0.0.1:9000
                                   reached through ssh -L 9000:127.0.0.1:8763
  %(prog)s --public-url https://studio.example/
                                   behind a proxy with TLS on this machine

Nothing is trained, downloaded or created under models/ by starting. Ending the server, with
Ctrl-C or otherwise, leaves training runs as they are; the next start finds them again.

The browser comes in through a file that only you can read. Where no browser can open it, open
the address and paste the token, which is in .cpt-studio/token of the workspace.
"""


@dataclass(frozen=True)
class ServerOptions:
    """The server's options.

    Attributes:
        workspace: the workspace folder.
        host: the address to listen on.
        port: the port to listen on; None for the default, or the next one that is free.
        detect: whether training that was started elsewhere may be looked for.
        browser: whether to open a browser.
        demo: whether to complete the demo workspace first.
        log_level: of the server's log.
        allow_hosts: names, with or without a port, under which browsers may reach it, beside the
            loopback address.
        public_url: address of a proxy with TLS through which browsers reach it, or None.
        certfile: TLS certificate.
        keyfile: its key.
        insecure_http: accept to be reachable from elsewhere without TLS.
        new_token: make a new token, which ends all sessions.
        allow_roots: folders that the file browser shows, beside the workspace.
    """

    workspace: Path
    host: str = LOOPBACK[0]
    port: int | None = None
    detect: bool = True
    browser: bool = True
    demo: bool = False
    log_level: str = "info"
    allow_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    certfile: Path | None = None
    keyfile: Path | None = None
    insecure_http: bool = False
    new_token: bool = False
    allow_roots: tuple[Path, ...] = ()

    @property
    def scheme(self) -> str:
        """The scheme of its addresses."""
        return "https" if self.certfile else "http"

    @property
    def on_loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        return self.host in LOOPBACK


def parse_options(arguments: Sequence[str] | None = None, program: str = "") -> ServerOptions:
    """Read the command line; `--help` and mistakes end the process as argparse does.

    Raises:
        UserError: the options together would be unsafe or make no sense.
    """
    given = _parser(program).parse_args(arguments)
    workspace = given.workspace or Path(os.environ.get("CPT_STUDIO_WORKSPACE", ""))
    if given.demo and not given.workspace:
        workspace = Path("demo")
    changes = {
        "workspace": _absolute(workspace),
        # What "localhost" leads to is the resolver's choice; we listen on one address.
        "host": LOOPBACK[0] if given.host == "localhost" else given.host,
        "allow_hosts": tuple(given.allow_hosts),
        "allow_roots": tuple(map(_absolute, given.allow_roots)),
    }
    options = ServerOptions(**vars(given) | changes)
    check_options(options)
    return options


def check_options(options: ServerOptions) -> None:
    """Refuse options that would be unsafe or make no sense.

    Raises:
        UserError: with all problems at once.
    """
    problems = []
    if bool(options.certfile) != bool(options.keyfile):
        problems.append("--certfile and --keyfile belong together; give both.")
    problems += [
        f"{path} is not a file that can be read."
        for path in (options.certfile, options.keyfile)
        if path is not None and not (path.is_file() and os.access(path, os.R_OK))
    ]
    problems += [
        f"--allow-root {path} is not a folder." for path in options.allow_roots if not path.is_dir()
    ]
    if not options.on_loopback:
        if not options.allow_hosts:
            problems.append(
                "Say with --allow-host under which names browsers reach it, such as "
                "--allow-host studio.lan; all other names are refused."
            )
        if not options.certfile and not options.insecure_http:
            problems.append(
                "Give --certfile and --keyfile for TLS, or accept with --insecure-http that "
                "everybody on the network can read along and take over the session."
            )
    problems += [
        f"--allow-host {name!r} is not a host name; give NAME or NAME:PORT, without scheme or path."
        for name in options.allow_hosts
        if _HOST_NAME.fullmatch(name) is None
    ]
    url = options.public_url
    if url is not None and _PUBLIC_URL.fullmatch(url) is None:
        problems.append(
            f"--public-url {url!r} is not an address of a proxy with TLS; give https://NAME/ or "
            "https://NAME:PORT/, without a path."
        )
    if problems:
        where = "" if options.on_loopback else f" on {options.host}, beyond this machine"
        raise UserError(f"The server cannot start{where}:", problems)


def _absolute(path: Path) -> Path:
    return Path(os.path.expanduser(path)).absolute()


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 1 to 65535")
    return port


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program or None,
        description="Open CPT Studio, the web interface for continued pre-training of MLX "
        "language models, in your browser.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-w",
        "--workspace",
        type=Path,
        metavar="DIR",
        help="the folder that holds models, corpora and runs (default: the current folder, or "
        "$CPT_STUDIO_WORKSPACE)",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="make or complete the demo workspace first: a small model and two corpora "
        "(in ./demo unless --workspace names another folder)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help=f"listen on exactly this port (default: {DEFAULT_PORT}, or the next free one)",
    )
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open a browser"
    )
    parser.add_argument(
        "--no-detect",
        dest="detect",
        action="store_false",
        help="do not look for training on this machine that was started elsewhere",
    )
    parser.add_argument(
        "--allow-root",
        dest="allow_roots",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder that the file browser shows beside the workspace, to take documents from; "
        "may be repeated",
    )
    parser.add_argument(
        "--log-level",
        choices=_LEVELS,
        default="info",
        help="how much is logged, to this terminal and .cpt-studio/server.log (default: info)",
    )
    parser.add_argument(
        "--new-token",
        action="store_true",
        help="make a new token; everybody who is signed in has to come in again",
    )
    _add_network(parser)
    return parser


def _add_network(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("reaching it from other machines (off by default)")
    network.add_argument(
        "--host",
        default=LOOPBACK[0],
        metavar="ADDRESS",
        help="listen on this address (default: %(default)s, this machine only)",
    )
    network.add_argument(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="a name under which browsers may reach it, with the port if it is not the server's "
        "own, as through a tunnel; may be given several times",
    )
    network.add_argument(
        "--public-url",
        metavar="URL",
        help="the https:// address of a proxy through which browsers reach it; the proxy must "
        "pass the Host header on unchanged",
    )
    network.add_argument("--certfile", type=Path, metavar="FILE", help="TLS certificate (PEM)")
    network.add_argument("--keyfile", type=Path, metavar="FILE", help="its private key (PEM)")
    network.add_argument(
        "--insecure-http",
        action="store_true",
        help="go beyond this machine without TLS: others on the network can read along",
    )
