"""The server's log: readable lines on standard error and in `.cpt-studio/server.log`."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path

from cptstudio.errors import UserError, machine_error
from cptstudio.terminal import visible

LOG_FILE = "server.log"
_LARGEST = 2 * 1024 * 1024
_KEPT = 3
# They tell every packet and every request at INFO; and with a trace at ERROR, where a client
# has sent nonsense.
_TALKATIVE = {
    "gunicorn": logging.WARNING,
    "werkzeug": logging.WARNING,
    "cptstudio.web.security.sockets.socketio": logging.CRITICAL,
    "cptstudio.web.security.sockets.engineio": logging.CRITICAL,
}


class _FollowingFile(WatchedFileHandler):
    """A log that goes on elsewhere when its file is renamed, and rests while it has no folder."""

    def reopenIfNeeded(self) -> None:  # noqa: N802 - logging's name
        """Open the file that has the name now."""
        with contextlib.suppress(OSError):
            super().reopenIfNeeded()


class _Lines(logging.Formatter):
    """One line a message: names from files and requests cannot forge lines or colors."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text; a trace keeps its lines."""
        record.name = record.name.removeprefix("cptstudio.")
        text = super().format(record)
        if not record.exc_info and not record.stack_info:
            text = text.replace("\n", "\\n").replace("\t", " ")
        return visible(text)


def set_up_logs(private: Path, level: str, rotating: bool) -> None:
    """Send this process's log to standard error and to the file.

    Args:
        private: the workspace's private folder, which is there.
        level: the least level that is logged, such as "info".
        rotating: whether this process is the one that renames a file that has grown large.
            Every other process that writes to it follows to the new one.

    Raises:
        UserError: the file cannot be written.
    """
    path = private / LOG_FILE
    try:
        # Made here, so that nobody else can read it from its first line on.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600))
        file = (
            RotatingFileHandler(
                path, maxBytes=_LARGEST, backupCount=_KEPT, encoding="utf-8",
                errors="backslashreplace",
            )
            if rotating
            else _FollowingFile(path, encoding="utf-8", errors="backslashreplace")
        )  # fmt: skip
    except OSError as error:
        said = f"The log {path} cannot be written: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in (logging.StreamHandler(sys.stderr), file):
        handler.setFormatter(_Lines())
        root.addHandler(handler)
    root.setLevel(level.upper())
    for name, usual in _TALKATIVE.items():
        quiet = logging.DEBUG if level == "debug" else usual
        logging.getLogger(name).setLevel(max(quiet, root.level))
    logging.captureWarnings(True)
    # A line that finds no room on the disk is lost; its trace on the terminal would help nobody.
    logging.raiseExceptions = False
    threading.excepthook = _log_end_of_thread


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    """A thread that ended with an exception; threads of connections do when a client goes."""
    if end.exc_type is SystemExit:
        return
    level = logging.DEBUG if issubclass(end.exc_type, OSError) else logging.ERROR
    name = end.thread.name if end.thread else "a thread"
    found = (end.exc_type, end.exc_value or end.exc_type(), end.exc_traceback)
    logging.getLogger(__name__).log(level, "%s ended", name, exc_info=found)
