"""The application: pages, API and live updates inside the security gate.

    application = create_application(make_studio, access)     # any WSGI server can serve it

The order from outside to inside: the gate (`security.gate`), which refuses what does not come
from the signed-in user's own page; the pages and their files (`pages`); then Socket.IO and
Flask. Only the inner part is slow to import, so it is made when it is first asked for, and the
first page does not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cptstudio.web.pages import Pages
from cptstudio.web.security.gate import Gate

if TYPE_CHECKING:
    import flask
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from cptstudio.web.security.access import Access
    from cptstudio.web.studio import Studio


class OnceNeeded:
    """A WSGI application that is made when it is first called, or warmed up."""

    def __init__(self, make: Callable[[], WSGIApplication]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._application: WSGIApplication | None = None

    def get(self) -> WSGIApplication:
        """Return the application; several threads that ask at once wait for one of them."""
        if self._application is None:
            with self._lock:
                if self._application is None:
                    self._application = self._make()
        return self._application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self.get()(environ, start_response)


def create_application(make_studio: Callable[[], Studio], access: Access) -> Gate:
    """Return the whole application.

    Args:
        make_studio: makes what the inner part works with, when it is first needed.
        access: who may come in, and under which addresses.
    """

    def make_inner() -> WSGIApplication:
        return create_inner(make_studio(), access)

    inner = OnceNeeded(make_inner)
    gate = Gate(Pages(inner, access.boot.id), access)
    gate.warm_up = inner.get
    return gate


def create_inner(studio: Studio, access: Access) -> flask.Flask:
    """Flask with the API, and Socket.IO around it. It is safe only inside the gate."""
    import flask

    from cptstudio.web.api import register
    from cptstudio.web.live.live import Live
    from cptstudio.web.security.sockets import GuardedSocketIO
    from cptstudio.web.work import free_memory as making_room

    app = flask.Flask("cptstudio.web", static_folder=None, template_folder=None)
    socketio = GuardedSocketIO(app, access)
    Live(studio, socketio)
    studio.manager.call_before_launch(
        lambda config: making_room.make_room(studio.inference, studio.endpoints, config)
    )
    register(app, studio)
    return app
