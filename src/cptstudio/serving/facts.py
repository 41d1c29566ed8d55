"""What is known of endpoints: read from their records, and from the locks that they hold.

Apart from `endpoints`, so that the status bar of a server that has just started loads little.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import psutil

from cptstudio.durable import real_path
from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.identity import is_alive
from cptstudio.serving import records
from cptstudio.serving.examples import Example, examples
from cptstudio.serving.records import Exit, Server, Spec, State
from cptstudio.validation import LateModel
from cptstudio.workspace import NAME_PATTERN, Workspace

EndpointState = Literal["loading", "ready", "unloaded", "stopped", "failed"]


class EndpointFacts(LateModel):
    """An endpoint.

    Attributes:
        model: as clients name it.
        label: the model as it was chosen.
        address: to give to clients as the base URL; null where it never listened.
        reason: why it ended or was unloaded; null while it is ready.
        chat: whether it takes chats; null before the model is loaded.
        context: tokens that prompt and text may have together.
        at_once: requests that are taken at the same time.
        started: Unix time in seconds.
        memory: bytes of main memory that its processes take; null where none runs.
        requests: taken so far.
        tokens: made so far.
        under_way: requests at this moment.
        last_request: Unix time in seconds.
    """

    id: str
    model: str
    label: str
    state: EndpointState
    alive: bool
    address: str | None
    port: int | None
    reason: str | None = None
    chat: bool | None = None
    context: int
    at_once: int
    started: float
    ended: float | None = None
    memory: int | None = None
    requests: int = 0
    tokens: int = 0
    under_way: int = 0
    last_request: float | None = None

    @property
    def examples(self) -> list[Example]:
        """Calls to copy; none where it never listened."""
        return examples(self.address, self.model, bool(self.chat)) if self.address else []


def all_endpoints(workspace: Workspace) -> list[EndpointFacts]:
    """Return all endpoints of a workspace, those that run first, then the last started."""
    root = workspace.private / records.FOLDER
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return []
    found = [facts_of(root / name) for name in names if NAME_PATTERN.fullmatch(name)]
    there = [one for one in found if one is not None]
    return sorted(there, key=lambda one: (not one.alive, -one.started))


def why_served(workspace: Workspace, folder: Path) -> str | None:
    """Return why a folder can't be deleted: an endpoint that runs has its model in it, or below it.

    An endpoint whose model was unloaded counts as well: it loads it again when it is asked to.
    """
    wanted = real_path(folder)
    for one in all_endpoints(workspace):
        if not one.alive:
            continue
        try:
            spec = records.read(workspace.private / records.FOLDER / one.id / records.SPEC, Spec)
        except (UserError, OSError):
            continue
        if spec is None:
            continue
        homes = (real_path(Path(path)) for path in (spec.model, spec.adapter) if path is not None)
        if any(home == wanted or wanted in home.parents for home in homes):
            return f"The endpoint {one.id} serves {spec.label}. Stop the endpoint first."
    return None


def facts_of(folder: Path) -> EndpointFacts | None:
    """Return what an endpoint's records say; None where its folder holds none."""
    id, alive = folder.name, False
    try:
        alive = locks.is_held(folder / records.LOCK)
        spec = records.read(folder / records.SPEC, Spec)
        server = records.read(folder / records.SERVER, Server)
        state = records.read(folder / records.STATE, State)
        ended = records.read(folder / records.EXIT, Exit)
    except (UserError, OSError) as error:
        return _unreadable(id, alive, str(error))
    if spec is None:
        return None
    # What belongs to an earlier start of the same endpoint says nothing of this one.
    server = server if server and server.start == spec.start else None
    state = state if state and state.start == spec.start else None
    ended = ended if ended and ended.start == spec.start else None
    now: EndpointState
    reason: str | None
    if alive:
        now, reason = (state.state, state.reason) if state else ("loading", None)
    elif ended is not None:
        now, reason = ("stopped" if ended.stopped else "failed"), ended.reason
    else:
        now, reason = "failed", "It was killed, or the machine went off."
    return EndpointFacts(
        id=id,
        model=spec.name,
        label=spec.label,
        state=now,
        alive=alive,
        address=f"http://{records.HOST}:{server.port}/v1" if server else None,
        port=server.port if server else None,
        reason=reason,
        chat=state.chat if state else None,
        context=spec.context,
        at_once=spec.at_once,
        started=spec.requested,
        ended=ended.ended if ended and not alive else None,
        memory=_memory_of(server, state) if alive else None,
        requests=state.requests if state else 0,
        tokens=state.tokens if state else 0,
        under_way=state.under_way if state and alive else 0,
        last_request=state.last_request if state else None,
    )


def _unreadable(id: str, alive: bool, why: str) -> EndpointFacts:
    return EndpointFacts(
        id=id,
        model=id,
        label=id,
        state="failed",
        alive=alive,
        address=None,
        port=None,
        reason=f"{why}. Remove the endpoint, and start it again.",
        context=0,
        at_once=0,
        started=0.0,
    )


def _memory_of(server: Server | None, state: State | None) -> int | None:
    """Bytes of main memory of an endpoint's processes."""
    if server is None or not is_alive(server.identity):
        return None
    total = 0
    for pid in (server.pid, state.worker if state else None):
        try:
            total += psutil.Process(pid).memory_info().rss if pid else 0
        except psutil.Error:
            continue
    return total
