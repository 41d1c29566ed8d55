"""Reports of the browser that the content security policy stopped something."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cptstudio.web.security.refusals import length_refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LIMIT = 16 * 1024
_TYPES = ("application/csp-report", "application/json")
_LOGGED_A_MINUTE = 20
_FIELDS = ("violated-directive", "blocked-uri", "source-file", "line-number", "script-sample")
_logger = logging.getLogger(__name__)


class Reports:
    """Logs the reports, so many a minute at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute, self._logged = 0, 0

    def __call__(self, environ: WSGIEnvironment, start: Callable[..., Any]) -> Iterable[bytes]:
        """Take one report."""
        status = HTTPStatus.NO_CONTENT
        content = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if environ["REQUEST_METHOD"] != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif content not in _TYPES:
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        elif (refusal := length_refusal(environ, _LIMIT)) is not None:
            status = refusal.status
        else:
            self._log(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start(f"{status.value} {status.phrase}", [("Content-Length", "0")])
        return []

    def _log(self, data: bytes) -> None:
        with self._lock:
            minute = int(time.monotonic() / 60)
            if minute != self._minute:
                self._minute, self._logged = minute, 0
            self._logged += 1
            if self._logged > _LOGGED_A_MINUTE:
                return
        try:
            report = json.loads(data)["csp-report"]
            shown = {name: report[name] for name in _FIELDS if name in report}
        except (ValueError, KeyError, TypeError, RecursionError):
            shown = {"unreadable": len(data)}
        _logger.warning("content security policy violated: %.500r", shown)
