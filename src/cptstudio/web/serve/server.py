"""The server from its start to its end.

Little is imported before the worker is forked, and the first page needs no more than the
standard library and gunicorn. What the API needs is imported in the background once the first
page was answered, or when the first request for it comes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from cptstudio import __version__, macos, terminal
from cptstudio.errors import UserError, machine_error
from cptstudio.terminal import visible
from cptstudio.web.options import ServerOptions, parse_options
from cptstudio.web.security.access import Access, make_access, origin_of
from cptstudio.web.security.boot import Boot
from cptstudio.web.security.token import TOKEN_FILE, prepare_private_folder, read_or_make_token
from cptstudio.web.serve.listening import open_listener
from cptstudio.web.serve.logs import set_up_logs
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from cptstudio.runs.locks import Lock
    from cptstudio.web.security.gate import Gate
    from cptstudio.web.studio import Studio

_WARM_UP_SECONDS = 2.0
_logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None, program: str = "") -> None:
    """The program: read the command line and serve; mistakes are sentences and status 1."""
    terminal.prepare()
    try:
        serve(parse_options(arguments, program))
    except UserError as error:
        print(f"Error: {visible(str(error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        refused = machine_error(error)
        if refused is None:
            raise
        print(f"Error: {visible(str(refused))}", file=sys.stderr)
        sys.exit(1)


def serve(options: ServerOptions) -> None:
    """Serve a workspace until a signal ends it. The process exits in here.

    Raises:
        UserError: it cannot be served; what to do about it is said.
    """
    from cptstudio.runs.server_lock import describe_server, take_server_lock
    from cptstudio.web.serve.embedded_gunicorn import Server

    workspace = Workspace(options.workspace)
    if options.demo:
        from cptstudio.web.serve.demo_workspace import make_demo_workspace

        make_demo_workspace(workspace)
    _check_workspace(workspace)
    prepare_private_folder(workspace.private)
    workspace.make(workspace.private, mode=0o700)
    lock = take_server_lock(workspace.private, "just starting")
    set_up_logs(workspace.private, options.log_level, rotating=False)
    listener = open_listener(options)
    port = int(listener.getsockname()[1])
    address = origin_of(options, port)
    describe_server(lock, address)
    worker = _Worker(options, workspace, lock, port)
    # Made here, so that a mistake is told before anything is forked.
    read_or_make_token(workspace.private, renew=options.new_token)
    Server(
        listener,
        load=worker.load,
        ready=worker.ready,
        is_busy=worker.is_busy,
        ending=lambda: describe_server(lock, address, ending=True),
        ended=worker.ended,
        certfile=options.certfile,
        keyfile=options.keyfile,
    ).run()


def _check_workspace(workspace: Workspace) -> None:
    if not workspace.root.is_dir():
        raise UserError(
            f"There is no folder {workspace.root}. Create it first, or use --demo to start "
            "with a demo workspace."
        )


class _Worker:
    """The worker process's part."""

    def __init__(self, options: ServerOptions, workspace: Workspace, lock: Lock, port: int) -> None:
        self._options = options
        self._workspace = workspace
        self._lock = lock
        self._port = port
        # A worker that takes another one's place goes on with its sessions: the port was ours.
        self._boot = Boot()
        self._open = ExitStack()
        self._access: Access | None = None
        self._gate: Gate | None = None
        self._studio: Studio | None = None
        self._answered = threading.Event()

    def load(self) -> WSGIApplication:
        """Make the application. Only its outer part is made now."""
        from cptstudio.web.web_training_interface import create_application

        private = self._workspace.private
        set_up_logs(private, self._options.log_level, rotating=True)
        token = read_or_make_token(private)
        self._access = make_access(self._options, private, self._port, token, self._boot)
        self._gate = create_application(self._make_studio, self._access)
        self._access.entry.renew()
        return self._gate.telling(self._answered.set)

    def ready(self, first: bool) -> None:
        """Tell the user, and import the rest as soon as the first page was answered."""
        threading.Thread(target=self._warm_up, daemon=True).start()
        if first:
            self._greet()
        else:
            _logger.warning("the worker process was gone and has been started again")

    def is_busy(self) -> bool:
        """Return whether requests are under way."""
        return self._gate is not None and self._gate.under_way.number > 0

    def ended(self) -> None:
        """Let go of what the worker held. Training runs are left as they are."""
        if self._studio is not None:
            self._studio.news.close()
            self._studio.inference.end("The server ended.")
        self._open.close()
        if self._access is not None:
            self._access.entry.remove()

    def _make_studio(self) -> Studio:
        from cptstudio.web.studio import make_studio

        if self._studio is None:
            studio = make_studio(self._options)
            # First, since what is remembered of a run goes when its folder is not there.
            studio.trash.clear_former()
            serving = studio.manager.serve(lock=self._lock)
            studio.queue_runner = self._open.enter_context(serving)
            studio.uploads.sweep_broken_off()
            self._studio = studio
        return self._studio

    def _warm_up(self) -> None:
        self._answered.wait(_WARM_UP_SECONDS)
        assert self._gate is not None
        try:
            self._gate.warm_up()
        except Exception:
            _logger.exception("the application cannot be made")

    def _greet(self) -> None:
        assert self._access is not None
        address = self._access.entry.path.as_uri()
        origin = origin_of(self._options, self._port)
        _logger.info("CPT Studio %s serves %s at %s", __version__, self._workspace.root, origin)
        print(
            f"CPT Studio is at {origin}\n"
            f"  workspace: {visible(str(self._workspace.root))}\n"
            f"  to sign in, open {address}\n"
            f"  or paste the token from {visible(str(self._workspace.private / TOKEN_FILE))}\n"
            "Press Ctrl-C to stop the server; training continues without it.",
            flush=True,
        )
        if self._options.browser and _has_browser():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _has_browser() -> bool:
    """Whether there is a screen. Without one, Python would start a browser in the terminal."""
    return macos.HERE or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
