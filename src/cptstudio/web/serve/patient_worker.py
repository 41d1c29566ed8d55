"""Gunicorn's worker with threads, in which no client can hold a thread by being silent.

Gunicorn gives a thread to every connection that was accepted, and waits in it for the request;
when it closes a connection it waits for the client in the loop that accepts. Here the loop's
poller does all the waiting: a thread gets a request only once its headers (and a small body) are
there whole, and a closed connection's last bytes are awaited beside everything else.
"""

from __future__ import annotations

import contextlib
import errno
import re
import selectors
import socket
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gunicorn import http, util
from gunicorn import sock as gunicorn_sock
from gunicorn.workers import gthread
from gunicorn.workers.gthread import TConn, ThreadWorker

from cptstudio.web.security.connections import set_patience

HEADERS_SECONDS = 10.0
"""A request's headers are there within so many seconds of its connection, or it is closed."""
MOST_ARRIVING = 128
"""So many connections may be silent at once; one more closes the oldest of them."""
MOST_KEPT = 256
"""So many answered connections are kept for the client's next request."""

_SILENT_SECONDS = 30
_LEAVING_SECONDS = 2.0
_DRAIN_SECONDS = 0.5
_MOST_LEAVING = 128
_LARGEST_HEADERS = 64 * 1024
_SMALL_BODY = 16 * 1024
_PART = 64 * 1024
_PAUSE_SECONDS = 0.05
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n")
_UPGRADE = re.compile(rb"(?i)\r\nupgrade:")
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# How long gunicorn waits in a thread for the rest of a body that nobody has read.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = _DRAIN_SECONDS


@dataclass(eq=False)
class _Arrival:
    """A connection whose request is not there yet.

    Attributes:
        until: when it is given up (monotonic clock).
        data: what has come of the request.
        handshake: TLS has still to be agreed on.
        wants: what the poller waits for; 0 while it does not.
        looked_at: so much of the data holds no end of the headers.
        size: of the headers and a small body, once the headers are there.
    """

    conn: TConn
    until: float
    data: bytearray = field(default_factory=bytearray)
    handshake: bool = False
    wants: int = 0
    looked_at: int = 0
    size: int | None = None

    def is_whole(self) -> bool:
        """Return whether a thread that reads the request will not have to wait for it."""
        if self.size is None:
            end = self.data.find(b"\r\n\r\n", max(0, self.looked_at - 3))
            self.looked_at = len(self.data)
            if end < 0:
                return False
            found = _LENGTH.search(self.data, 0, end + 2)
            length = int(found[1]) if found else 0
            self.size = end + 4 + (length if length <= _SMALL_BODY else 0)
        return len(self.data) >= self.size


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """See the module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_keepalived = MOST_KEPT
        self._arriving: OrderedDict[_Arrival, None] = OrderedDict()
        self._leaving: OrderedDict[socket.socket, float] = OrderedDict()
        self._tls: ssl.SSLContext | None = None

    # --- a request comes ---------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Take one connection. Where no more files can be opened, silent ones make room."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                raise
            self.log.warning("no more connections can be taken: %s", error)
            if self._arriving:
                self._give_up(next(iter(self._arriving)))
            time.sleep(_PAUSE_SECONDS)

    def enqueue_req(self, conn: TConn) -> None:
        """Wait in the poller until the request on a connection is there whole."""
        arrival = _Arrival(conn, time.monotonic() + HEADERS_SECONDS)
        conn.close = partial(self._close, conn)
        try:
            conn.sock.setblocking(False)
            if not conn.initialized:
                self._begin(arrival)
            arrival.data += conn.parser.unreader.take_buffered()
        except OSError:
            self.nr_conns -= 1
            util.close(conn.sock)
            return
        self._arriving[arrival] = None
        self._go_on(arrival)
        while len(self._arriving) > MOST_ARRIVING:
            self._give_up(next(iter(self._arriving)))

    def _begin(self, arrival: _Arrival) -> None:
        """What gunicorn does in a thread: TLS, and the parser."""
        conn = arrival.conn
        if self.cfg.is_ssl:
            self._tls = self._tls or gunicorn_sock.ssl_context(self.cfg)
            conn.sock = self._tls.wrap_socket(
                conn.sock, server_side=True, do_handshake_on_connect=False
            )
            arrival.handshake = True
        conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.initialized = conn.data_ready = True

    def _go_on(self, arrival: _Arrival, _: Any = None) -> None:
        """Take what has come; hand the request to a thread when it is whole."""
        if arrival not in self._arriving:
            return  # It was given up since the poller saw something come.
        wants = selectors.EVENT_READ
        try:
            self._read(arrival)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            wants = selectors.EVENT_WRITE
        except (EOFError, OSError):
            self._give_up(arrival)
            return
        else:
            self._hand_over(arrival)
            return
        if wants == arrival.wants:
            return
        key = partial(self._go_on, arrival)
        if arrival.wants:
            self.poller.modify(arrival.conn.sock, wants, key)
        else:
            self.poller.register(arrival.conn.sock, wants, key)
        arrival.wants = wants

    def _read(self, arrival: _Arrival) -> None:
        """Return when the request is whole; everything else raises."""
        sock = arrival.conn.sock
        if arrival.handshake:
            sock.do_handshake()
            arrival.handshake = False
        while True:
            # An empty line before a request is passed over (RFC 9112, section 2.2).
            while arrival.data[:2] == b"\r\n":
                del arrival.data[:2]
                arrival.looked_at = 0
            if arrival.is_whole():
                return
            if len(arrival.data) > _LARGEST_HEADERS:
                util.write_error(sock, 431, "Request Header Fields Too Large", "")
                raise EOFError
            part = sock.recv(_PART)
            if not part:
                if arrival.data:
                    return  # Nothing more is to be waited for; the parser says what is wrong.
                raise EOFError
            arrival.data += part

    def _hand_over(self, arrival: _Arrival) -> None:
        conn = arrival.conn
        self._forget(arrival)
        # A WebSocket's own thread closes its socket, at any time: nothing may wait for it here.
        conn.closed_elsewhere = _UPGRADE.search(arrival.data) is not None
        conn.parser.unreader.unread(bytes(arrival.data))
        # What else is read of it, such as an upload, is waited for in the thread, but not for ever.
        set_patience(conn.sock, _SILENT_SECONDS)
        super().enqueue_req(conn)

    def _forget(self, arrival: _Arrival) -> None:
        self._arriving.pop(arrival, None)
        if arrival.wants:
            arrival.wants = 0
            with contextlib.suppress(OSError, KeyError, ValueError):
                self.poller.unregister(arrival.conn.sock)

    def _give_up(self, arrival: _Arrival) -> None:
        self._forget(arrival)
        self.nr_conns -= 1
        arrival.conn.close(graceful=bool(arrival.data))

    def murder_pending(self) -> None:
        """Close what stayed silent for too long; gunicorn calls this once a second or oftener."""
        now = time.monotonic()
        for arrival in list(self._arriving):
            if arrival.until > now:
                break
            self._give_up(arrival)
        for sock, until in list(self._leaving.items()):
            if until > now:
                break
            self._left(sock)
        super().murder_pending()

    # --- a connection goes -------------------------------------------------------------------

    def _close(self, conn: TConn, graceful: bool = False) -> None:
        """Close a connection so that what was sent last arrives (RFC 9112, section 9.6)."""
        sock = conn.sock
        try:
            if not graceful or getattr(conn, "closed_elsewhere", False):
                raise ConnectionAbortedError
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
            self.poller.register(sock, selectors.EVENT_READ, self._drain)
        except (OSError, KeyError, ValueError):
            util.close(sock)
            return
        self._leaving[sock] = time.monotonic() + _LEAVING_SECONDS
        while len(self._leaving) > _MOST_LEAVING:
            self._left(next(iter(self._leaving)))

    def _drain(self, sock: socket.socket) -> None:
        """Take what a client sends that is not heard any more."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            try:
                if sock.recv(_PART):
                    return
            except (BlockingIOError, ssl.SSLWantReadError):
                raise
            except OSError:
                pass
            self._left(sock)

    def _left(self, sock: socket.socket) -> None:
        self._leaving.pop(sock, None)
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(sock)
        util.close(sock)
