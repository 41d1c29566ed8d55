"""Tells the pages what is new: rows, events and states of runs, the status bar, jobs.

One thread looks at the runs that pages follow, four times a second, and reads each of them once
for all its followers. Rows are read back from the file before they are told, so nothing is
told that is not on disk. For each page and run the server knows only up to which row it told,
and whether the page has acknowledged that. Until it has, it is told nothing more: a page that
sleeps costs no memory. What it missed it fetches over HTTP when it wakes up.

Socket.IO events from a page:

    "watch" {run, after}   -> {boot_id, generation, last_seq}, or {error}
    "unwatch" {run}        -> {}

and to a page:

    "update" {boot_id, run, generation, after, seq, rows, events, state, behind, phase}
        `rows` are the current rows between `after` and `seq`. A page that is not at `after`, or
        knows another boot_id or generation, or is told that it is `behind`, fetches instead.
        It acknowledges each update, and the next one comes only then.
    "status" {active, queue, jobs, endpoints}   what the status bar shows, at most twice a second
    "runs" {changed: [ids]}            runs came, went, or changed their state or labels
    "job" {...}                        a job went on
    "external" {}                      training of other programs came, went, or is watched
    "inference" {}                         models for testing were loaded or unloaded
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import flask

from cptstudio.errors import UserError
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.web.live.followed_run import FollowedRun, Position
from cptstudio.web.live.status_watch import StatusWatch, status_now

if TYPE_CHECKING:
    from flask_socketio import SocketIO

    from cptstudio.web.studio import Studio
    from cptstudio.web.work.jobs import Job

_TICK_SECONDS = 0.25
_SHORTEST_SECONDS = 0.24
_RUNS_PER_PAGE = 16
_UNSENT_PACKETS = 32
_logger = logging.getLogger(__name__)


class Live:
    """The thread that sends news to the pages, running while pages are connected."""

    def __init__(self, studio: Studio, socketio: SocketIO) -> None:
        self._studio = studio
        self._library = studio.run_library
        self._socketio = socketio
        self._lock = threading.Lock()
        self._pages: dict[str, dict[str, Position]] = {}
        self._followed: dict[str, FollowedRun] = {}
        self._missed: set[str] = set()
        self._status = StatusWatch(studio)
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._closed = False
        socketio.on_event("connect", self._connected)
        socketio.on_event("disconnect", self._disconnected)
        socketio.on_event("watch", self._watch)
        socketio.on_event("unwatch", self._unwatch)
        self._library.summaries.on_found = lambda run: self.look_now([run])
        studio.jobs.on_change = self._job_changed
        studio.news.subscribe(self)
        threading.Thread(target=_load_what_draws, name="loading", daemon=True).start()

    # --- for the news ------------------------------------------------------------------------

    def look_now(self, changed: Iterable[str] = ()) -> None:
        """Something was done: tell it at once and not only with the next regular look."""
        self._status.changed(changed)
        with self._changed:
            self._changed.notify()

    def publish(self, event: str, data: Any) -> None:
        """Tell all pages something. Those that do not take what was sent before are told later."""
        with self._lock:
            pages = list(self._pages)
        for sid in pages:
            if self._takes(sid):
                self._emit(sid, event, data, None)
            else:
                with self._lock:
                    self._missed.add(sid)

    def close(self) -> None:
        """End the thread and wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # --- pages -------------------------------------------------------------------------------

    def _connected(self, auth: Any = None) -> None:
        with self._changed:
            self._pages[_page()] = {}
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="live", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _disconnected(self, reason: Any = None) -> None:
        with self._lock:
            self._pages.pop(_page(), None)
            self._missed.discard(_page())
            self._drop_unfollowed()

    def _watch(self, data: Any = None) -> dict[str, Any]:
        run = _asked(data)
        if run is None:
            return {"error": "Say which run: {run, after}."}
        page = _page()
        try:
            columns = self._library.columns(run)
        except UserError as error:
            return {"error": error.message}
        with columns.lock:
            generation, last_seq = columns.generation, columns.last_seq
        # A page that is behind fetches on this answer, up to `last_seq`; it is told from there.
        position = Position(generation, last_seq)
        with self._changed:
            runs = self._pages.get(page)
            if runs is None:
                return {"error": "This connection has ended."}
            if run not in runs and len(runs) >= _RUNS_PER_PAGE:
                return {"error": f"A page follows at most {_RUNS_PER_PAGE} runs."}
            if not run.startswith(ID_PREFIX):  # Those of other programs do not go on.
                runs[run] = position
                if run not in self._followed:
                    self._followed[run] = FollowedRun(run, self._library)
                self._changed.notify()
        return {"boot_id": self._studio.boot_id, "generation": generation, "last_seq": last_seq}

    def _unwatch(self, data: Any = None) -> dict[str, Any]:
        run = _asked(data)
        with self._lock:
            if run is not None:
                self._pages.get(_page(), {}).pop(run, None)
            self._drop_unfollowed()
        return {}

    def _drop_unfollowed(self) -> None:
        wanted = {run for runs in self._pages.values() for run in runs}
        self._followed = {run: one for run, one in self._followed.items() if run in wanted}

    # --- the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                self._changed.wait(_TICK_SECONDS if self._pages else None)
                if self._closed:
                    return
                followed = list(self._followed.values())
            if not self._workspace_is_present():
                continue
            for run in followed:
                try:
                    self._tell_run(run)
                except UserError as error:
                    _logger.info("run %s cannot be followed: %s", run.id, error)
                except Exception:
                    _logger.exception("run %s cannot be followed", run.id)
            try:
                for event, data in self._status.look():
                    self.publish(event, data)
                self._tell_those_that_missed_something()
            except UserError as error:
                # The workspace may have gone since it was looked at.
                _logger.info("the status cannot be told: %s", error)
            except Exception:
                _logger.exception("the status cannot be told")

    def _workspace_is_present(self) -> bool:
        """Nothing is told of a workspace that is away: its runs are not gone. Then, all is told."""
        workspace = self._studio.workspace
        if not workspace.is_present():
            return False
        if workspace.was_away:
            workspace.was_away = False
            self.publish("runs", {"changed": []})
        return True

    def _tell_run(self, run: FollowedRun) -> None:
        run.look()
        with self._lock:
            positions = [(sid, runs[run.id]) for sid, runs in self._pages.items() if run.id in runs]
        for sid, position in positions:
            now = time.monotonic()
            if position.waiting or now < position.due or not self._takes(sid):
                continue
            update = run.update_for(position)
            if update is not None:
                position.waiting = True
                position.due = now + _SHORTEST_SECONDS
                self._emit(sid, "update", {"boot_id": self._studio.boot_id, **update}, position)

    def _job_changed(self, job: Job) -> None:
        self.publish("job", job.model_dump(mode="json"))
        self._status.jobs_changed()

    def _tell_those_that_missed_something(self) -> None:
        """A page that slept is told what is true now instead of what it missed."""
        with self._lock:
            missed = list(self._missed)
        awake = [sid for sid in missed if self._takes(sid)]
        if not awake:
            return
        status = status_now(self._studio).model_dump(mode="json")
        for sid in awake:
            with self._lock:
                self._missed.discard(sid)
            for event, data in (
                ("status", status),
                ("runs", {"changed": []}),
                ("external", {}),
                ("inference", {}),
            ):
                self._emit(sid, event, data, None)

    def _emit(self, sid: str, event: str, data: Any, position: Position | None) -> None:
        server = self._socketio.server
        acknowledged = position.acknowledged if position is not None else None
        try:
            server.emit(event, data, to=sid, namespace="/", callback=acknowledged)
        except (KeyError, OSError):
            _logger.debug("a page left while it was told something")

    def _takes(self, sid: str) -> bool:
        """Whether a page takes what it is sent: its queue in this process is short."""
        server = self._socketio.server
        try:
            engine = server.manager.eio_sid_from_sid(sid, "/")
            socket = server.eio.sockets.get(engine)
        except KeyError:
            return False
        return socket is not None and socket.queue.qsize() < _UNSENT_PACKETS


def _load_what_draws() -> None:
    """Load NumPy and pyarrow while nothing waits for them: the first chart is then quick."""
    import importlib

    for name in ("pyarrow.compute", "pyarrow.json", "cptstudio.web.series.library"):
        importlib.import_module(name)


def _page() -> str:
    sid: str = flask.request.sid  # type: ignore[attr-defined]
    return sid


def _asked(data: Any) -> str | None:
    run = data.get("run") if isinstance(data, dict) else None
    return run if isinstance(run, str) else None
