"""Socket.IO with the session checked on every event, not only when it connects."""

from __future__ import annotations

import logging
from typing import Any

import flask
from flask_socketio import ConnectionRefusedError, SocketIO

from cptstudio.web.security.access import Access
from cptstudio.web.security.gate import SESSION_KEY
from cptstudio.web.security.refusals import SOCKET_LIMIT

_logger = logging.getLogger(__name__)


class GuardedSocketIO(SocketIO):  # type: ignore[misc]
    """Socket.IO for signed-in pages of this server.

    The gate in front lets only requests with a session open a socket. A session that is ended
    while its socket lives is noticed at the socket's next event.

    Args:
        app: Socket.IO is put around it.
        access: who may come in, and under which addresses.
    """

    def __init__(self, app: flask.Flask, access: Access) -> None:
        self._access = access
        super().__init__(
            app,
            async_mode="threading",
            cors_allowed_origins=sorted(access.origins),
            manage_session=False,
            max_http_buffer_size=SOCKET_LIMIT,
            allow_upgrades=True,
            logger=_logger.getChild("socketio"),
            engineio_logger=_logger.getChild("engineio"),
        )

    def _handle_event(
        self, handler: Any, message: str, namespace: str, sid: str, *args: Any
    ) -> Any:
        if message == "disconnect":
            return super()._handle_event(handler, message, namespace, sid, *args)
        environ = self.server.get_environ(sid, namespace)
        session = (environ or {}).get(SESSION_KEY)
        if session is None or not self._access.sessions.holds(session):
            if message == "connect":
                raise ConnectionRefusedError("You are not signed in.")
            self.server.disconnect(sid, namespace)
            return {"error": "You are not signed in."}
        return super()._handle_event(handler, message, namespace, sid, *args)
