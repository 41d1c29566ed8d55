"""The permissions of a request that was let in, for its own session."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptstudio.web.security.access import Access
from cptstudio.web.security.sessions import Session
from cptstudio.web.security.under_way import UnderWay

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SESSION_KEY = "cptstudio.session"
SECRET_HEADER = "X-CPT-Studio-Session"


@dataclass(frozen=True)
class Visit:
    """A request of a session; the gate puts it into the request's environ.

    Attributes:
        session: whose request it is.
    """

    session: Session
    _access: Access
    _under_way: UnderWay
    _environ: WSGIEnvironment

    @property
    def still_holds(self) -> bool:
        """Return whether the session was not ended."""
        return self._access.sessions.holds(self.session)

    @property
    def boot_id(self) -> str:
        """Of the server, as its proofs name it."""
        return self._access.boot.id

    @property
    def proof_key(self) -> str:
        """What page and server recognize each other by, in base64."""
        return base64.b64encode(self._access.sessions.proof_key_of(self.session)).decode()

    def end(self) -> None:
        """End the session; this request is still answered."""
        self._under_way.spare(self._environ)
        self._access.sessions.end(self.session)

    def end_all(self) -> None:
        """Sign out everywhere; this request is still answered."""
        self._under_way.spare(self._environ)
        self._access.sessions.end_all()

    def link(self, address: str) -> str | None:
        """Return a link for one time to an address of the API; None when it is none."""
        return self._access.links.make(self.session, address)
