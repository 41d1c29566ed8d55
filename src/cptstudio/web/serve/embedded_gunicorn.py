"""Gunicorn as a part of this program: one worker process with threads, no configuration files.

The master binds nothing and opens nothing: it gets a socket that listens and holds the
workspace's lock, both of which the worker inherits. It only starts the worker again when that
one dies. When the master dies, the worker ends by itself, or else by its guard (`child_guard`), so
that neither can be left without the other.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from cptstudio import child_guard
from cptstudio.web.options import THREADS
from cptstudio.web.serve.patient_worker import PatientWorker

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication

_GRACE_SECONDS = 4
_UNDER_WAY_SECONDS = 2.0
_PAUSE_SECONDS = 0.05
_WORKER_SECONDS = 300
_KEEPALIVE_SECONDS = 75
_PARENT_SECONDS = 0.5
_logger = logging.getLogger(__name__)


class _StandardLog(Logger):  # type: ignore[misc]
    """Gunicorn's messages in the program's own log."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        # A client that fell silent in the middle of its request is no fault of ours.
        level = logging.DEBUG if isinstance(sys.exc_info()[1], BlockingIOError) else logging.ERROR
        self.error_log.log(level, msg, *args, exc_info=True, **kwargs)

    def reopen_files(self) -> None:
        pass

    def close_on_exec(self) -> None:
        pass


class _Worker(PatientWorker):
    """The worker, which ends as soon as nothing is under way."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        threading.Thread(target=self._end_when_idle, daemon=True).start()

    def _end_when_idle(self) -> None:
        # Gunicorn would wait for the WebSockets, too, which never end by themselves.
        deadline = time.monotonic() + _UNDER_WAY_SECONDS
        while self.app.is_busy() and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
        os.kill(os.getpid(), signal.SIGQUIT)


class _Master(Arbiter):  # type: ignore[misc]
    """A master that serves one program, which is never exchanged under way."""

    def init_signals(self) -> None:
        # `nohup` has told us to outlive the terminal.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self.SIGNALS = [number for number in Arbiter.SIGNALS if number != signal.SIGHUP]
        super().init_signals()

    def stop(self, graceful: bool = True) -> None:
        self.app.ending()
        super().stop(graceful)

    def handle_hup(self) -> None:
        raise StopIteration

    def _ignore(self) -> None:
        pass

    handle_usr1 = handle_usr2 = handle_ttin = handle_ttou = handle_winch = _ignore


class Server(BaseApplication):  # type: ignore[misc]
    """The program that gunicorn runs.

    Args:
        listener: listens already.
        load: makes the application, in the worker.
        ready: called in the worker when it is about to answer; its argument says whether it is
            the first worker.
        is_busy: whether requests are under way in the worker that should be answered before
            it ends.
        ending: called in the master when it begins to end.
        ended: called in the worker as the last thing.
        certfile: TLS certificate, or None.
        keyfile: its key.
    """

    def __init__(
        self,
        listener: socket.socket,
        load: Callable[[], WSGIApplication],
        ready: Callable[[bool], None],
        is_busy: Callable[[], bool],
        ending: Callable[[], None],
        ended: Callable[[], None],
        certfile: Path | None = None,
        keyfile: Path | None = None,
    ) -> None:
        self._load, self._ready = load, ready
        self.is_busy = is_busy
        self.ending, self._ended = ending, ended
        self._stays_after_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._settings = {
            "bind": f"fd://{listener.fileno()}",
            "workers": 1,
            "worker_class": _Worker,
            "threads": THREADS,
            "worker_connections": 1024,
            "timeout": _WORKER_SECONDS,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": _KEEPALIVE_SECONDS,
            "logger_class": _StandardLog,
            "accesslog": None,
            "loglevel": "debug",
            "preload_app": False,
            "control_socket_disable": True,
            # There is no proxy in front whose word would count.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "header_map": "refuse",
            "http_protocols": "h1",
            "limit_request_line": 8190,
            "limit_request_fields": 64,
            "certfile": str(certfile) if certfile else None,
            "keyfile": str(keyfile) if keyfile else None,
            "post_fork": self._worker_begins,
            "post_worker_init": self._worker_is_ready,
            "worker_exit": self._worker_ends,
        }
        super().__init__()

    def load_config(self) -> None:
        """Only what is said here counts; neither files nor the environment do."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """Return the application, made in the worker."""
        return self._load()

    def run(self) -> None:
        """Serve until a signal ends it. The process exits in here."""
        self._lifeline, self._held = os.pipe()
        _Master(self).run()

    def _worker_begins(self, server: Any, worker: Any) -> None:
        """Fork the guard that ends the worker after the master, whatever it is at."""
        os.close(self._held)
        child_guard.guard(self._lifeline)

    def _worker_is_ready(self, worker: Any) -> None:
        if self._stays_after_hangup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(worker.ppid,), daemon=True).start()
        self._ready(worker.age == 1)

    def _worker_ends(self, server: Any, worker: Any) -> None:
        if worker.pid != os.getpid():
            return
        try:
            self._ended()
        finally:
            logging.shutdown()
            # Threads that wait for a silent client would hold up a regular exit.
            os._exit(0)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a new server waits for the lock and the port."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    _logger.warning("the server's first process is gone, so this one ends, too")
    logging.shutdown()
    os._exit(1)
