"""Socket.IO with the session checked on every event, not only when it connects."""

from __future__ import annotations

import logging
from typing import Any

import flask
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from flask_socketio import ConnectionRefusedError, SocketIO

from cptstudio.web.security.access import Access
from cptstudio.web.security.connections import set_patience
from cptstudio.web.security.gate import SOCKET_PROTOCOL
from cptstudio.web.security.refusals import SOCKET_LIMIT
from cptstudio.web.security.visit import SESSION_KEY, Visit

_PING_SECONDS = 25
_PONG_SECONDS = 20
_logger = logging.getLogger(__name__)


class _BoundedWebSocket(SimpleWebSocketWSGI):  # type: ignore[misc]
    """A WebSocket that neither buffers a message without end nor outlives its client.

    Engine.IO looks at a message's size when it is complete, and after a missing pong it takes
    the socket for closed while its thread still waits for the client.
    """

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(
            handler, server, max_message_size=SOCKET_LIMIT, subprotocols=[SOCKET_PROTOCOL]
        )

    def __call__(self, environ: Any, start_response: Any) -> Any:
        connection = environ.get("gunicorn.socket")
        if connection is not None:
            set_patience(connection, _PING_SECONDS + _PONG_SECONDS)
        try:
            return super().__call__(environ, start_response)
        except (OSError, StopIteration):
            raise
        except Exception as error:
            # What cannot be read as a packet. The connection is no HTTP any more.
            _logger.debug("a WebSocket ended: %r", error)
            raise StopIteration from None


class GuardedSocketIO(SocketIO):  # type: ignore[misc]
    """Socket.IO for signed-in pages of this server.

    The gate in front lets only requests with a session open a socket, and cuts it off when the
    session ends. Should an event still arrive, it is refused here.

    Args:
        app: Socket.IO is put around it.
        access: who may come in, and under which addresses.
    """

    def __init__(self, app: flask.Flask, access: Access) -> None:
        super().__init__(
            app,
            async_mode="threading",
            cors_allowed_origins=sorted(access.origins),
            manage_session=False,
            max_http_buffer_size=SOCKET_LIMIT,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PONG_SECONDS,
            allow_upgrades=True,
            logger=_logger.getChild("socketio"),
            engineio_logger=_logger.getChild("engineio"),
        )
        self.on_error_default(_fault)
        engine = self.server.eio
        engine._async = {**engine._async, "websocket": _BoundedWebSocket}

    def _handle_event(
        self, handler: Any, message: str, namespace: str, sid: str, *args: Any
    ) -> Any:
        if message == "disconnect":
            return super()._handle_event(handler, message, namespace, sid, *args)
        environ = self.server.get_environ(sid, namespace)
        visit: Visit | None = (environ or {}).get(SESSION_KEY)
        if visit is None or not visit.still_holds:
            if message == "connect":
                raise ConnectionRefusedError("You are not signed in.")
            self.server.disconnect(sid, namespace)
            return {"error": "You are not signed in."}
        if message != "connect" and len(args) > 1:
            return {"error": "An event has one argument."}
        return super()._handle_event(handler, message, namespace, sid, *args)


def _fault(error: Exception) -> dict[str, str]:
    _logger.error("a live event failed", exc_info=error)
    return {"error": "CPT Studio itself failed here. What happened is in the server's log."}
