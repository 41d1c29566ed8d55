"""The near side of endpoints: started, looked at, told, stopped. Nothing starts by itself.

An endpoint outlives whoever started it; what it is and does is read from its records, and whether
it is alive from its lock. So any studio or command of the workspace finds it again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from cptstudio.durable import UnusableFileError, open_regular_file
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference
from cptstudio.lm.description import describe_model
from cptstudio.runs import locks
from cptstudio.runs.launching import start_holder
from cptstudio.serving import keys, records
from cptstudio.serving.facts import EndpointFacts, all_endpoints, facts_of
from cptstudio.serving.records import Control, Exit, Server, Spec, Wanted
from cptstudio.workspace import Workspace

MODULE: Final = "cptstudio.serving.endpoint"
AT_ONCE: Final = 4
MOST_AT_ONCE: Final = 32
REASON: Final = "A training run needed its memory."
LOG_TAIL: Final = 64 * 1024
"""Bytes of a log's end that are shown."""
_START_SECONDS: Final = 120.0
_WISH_SECONDS: Final = 120.0
_PAUSE_SECONDS: Final = 0.02
_CONTEXT: Final = 32_768
"""Of a model without a limit."""
_BESIDE_WEIGHTS: Final = 1.1
"""What a model takes with its context and buffers, at least, by its weights."""
_logger = logging.getLogger(__name__)


class Endpoints:
    """The endpoints of one workspace. Nothing is created or started by making this."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    # --- looking -----------------------------------------------------------------------------

    def all(self) -> list[EndpointFacts]:
        """All endpoints, those that run first, then the last started."""
        with self._lock:
            # The system forgets those that were started from here and have ended.
            self._started = [one for one in self._started if one.poll() is None]
        return all_endpoints(self._workspace)

    def one(self, name: str) -> EndpointFacts:
        """The endpoint that is meant by its id, its model or its port.

        Raises:
            UserError: there is none, or there are several.
        """
        everything = self.all()
        for found in everything:
            if found.id == name:
                return found
        meant = [one for one in everything if name in (one.model, one.label, str(one.port))]
        alive = [one for one in meant if one.alive]
        if len(alive or meant) == 1:
            return (alive or meant)[0]
        known = ", ".join(one.id for one in everything) or "none"
        what = "several endpoints" if meant else "no endpoint"
        raise UserError(f"There is {what} {name!r} in this workspace. There are: {known}.")

    def log(self, name: str) -> str:
        """Return the end of an endpoint's log, in whole lines."""
        found = self.one(name)
        try:
            with open_regular_file(self._root / found.id / records.LOG) as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - LOG_TAIL))
                data = file.read(LOG_TAIL)
        except (OSError, UnusableFileError):
            return ""
        text = data.decode("utf-8", "replace")
        return text.partition("\n")[2] if size > LOG_TAIL else text

    def known_key(self) -> str | None:
        """The workspace's key, or None where there is none yet."""
        return keys.read_key(self._workspace.private)

    def key(self) -> str:
        """The workspace's key, made where there is none.

        Raises:
            UserError: it cannot be written.
        """
        return keys.read_key(self._private()) or keys.make_key(self._private())

    def renew_key(self) -> str:
        """A new key in the place of the former one, for the endpoints that run, too.

        Raises:
            UserError: it cannot be written.
        """
        return keys.make_key(self._private())

    # --- doing -------------------------------------------------------------------------------

    def start(
        self,
        reference: ModelReference,
        *,
        name: str | None = None,
        port: int | None = None,
        at_once: int = AT_ONCE,
        context: int | None = None,
        anyway: bool = False,
        fast_blas: bool = True,
    ) -> EndpointFacts:
        """Start an endpoint; it listens when this returns, and loads its model.

        Args:
            name: the model as clients name it; None for what it was chosen by.
            port: to listen on; None for the first that is free.
            at_once: requests that are taken at the same time.
            context: tokens that prompt and text may have together; None for all that the model
                was made for.
            anyway: also where memory seems too short.

        Raises:
            UserError: it cannot be served, or is already.
        """
        described = describe_model(reference.model)
        if described.obstacle is not None:
            raise UserError(described.obstacle)
        if not anyway:
            _check_memory(reference, described.bytes)
        self.key()
        chosen = _client_name(name or reference.label)
        limit = described.context_limit or _CONTEXT
        spec = Spec(
            start=secrets.token_hex(8),
            label=reference.label,
            name=chosen,
            model=str(reference.model),
            adapter=str(reference.adapter) if reference.adapter else None,
            context=min(limit, context or limit),
            port=port,
            at_once=at_once,
            fast_blas=fast_blas,
            requested=time.time(),
        )
        folder = self._workspace.make(self._private() / records.FOLDER / _id_of(spec), mode=0o700)
        with self._take(folder, spec) as lock:
            records.write(folder / records.SPEC, spec)
            process = start_holder(MODULE, folder, lock, folder / records.LOG)
            with self._lock:
                self._started.append(process)
        self._await_start(process, folder, spec)
        return self.one(folder.name)

    def stop(self, name: str) -> EndpointFacts:
        """End an endpoint; its memory is free when this returns.

        Raises:
            UserError: there is none, or it does not end.
        """
        return self._wish(name, "stop", "Stopped.", lambda one: not one.alive)

    def unload(self, name: str, reason: str) -> EndpointFacts:
        """Take an endpoint's model out of memory; it goes on refusing requests in words."""
        done = {"unloaded", "stopped", "failed"}
        return self._wish(name, "unload", reason, lambda one: one.state in done)

    def load(self, name: str) -> EndpointFacts:
        """Bring an endpoint's model back into memory.

        Raises:
            UserError: there is too little memory, or the endpoint has ended.
        """
        found = self.one(name)
        spec = records.read(self._root / found.id / records.SPEC, Spec)
        if not found.alive or spec is None:
            raise UserError(f"The endpoint {found.id} has ended. Start it again.")
        if found.state == "unloaded":
            adapter = Path(spec.adapter) if spec.adapter else None
            reference = ModelReference(spec.label, Path(spec.model), adapter)
            _check_memory(reference, describe_model(reference.model).bytes)
        return self._wish(name, "load", None, lambda one: one.state != "unloaded")

    def in_the_way(self, needed: int, every: bool) -> list[EndpointFacts]:
        """The endpoints whose models are unloaded where so many bytes of memory are needed.

        Args:
            every: all of them, as on CUDA, where what is free on the card is not known without
                loading MLX.
        """
        holding = [one for one in self.all() if one.alive and one.state in ("loading", "ready")]
        if every:
            return holding
        chosen, free = [], psutil.virtual_memory().available
        for one in sorted(holding, key=lambda one: -(one.memory or 0)):
            if needed > free:
                chosen.append(one)
                free += one.memory or 0
        return chosen

    def make_room(self, needed: int, every: bool) -> list[EndpointFacts]:
        """Unload models until training has so many bytes of memory; returns whose they were.

        Never refuses a run.

        Args:
            every: as for `in_the_way`.
        """
        unloaded = []
        for one in self.in_the_way(needed, every):
            try:
                unloaded.append(self.unload(one.id, REASON))
            except (UserError, OSError) as error:
                _logger.warning("%s was not unloaded: %s", one.id, error)
        return unloaded

    def remove(self, name: str) -> None:
        """Forget an endpoint that has ended, with its log.

        Raises:
            UserError: it runs.
        """
        found = self.one(name)
        folder = self._root / found.id
        lock = locks.take(folder / records.LOCK)
        if lock is None:
            raise UserError(f"The endpoint {found.id} runs. Stop it first.")
        with lock:
            shutil.rmtree(folder, ignore_errors=True)

    # --- inside ------------------------------------------------------------------------------

    @property
    def _root(self) -> Path:
        return self._workspace.private / records.FOLDER

    def _private(self) -> Path:
        return self._workspace.make(self._workspace.private, mode=0o700)

    def _take(self, folder: Path, spec: Spec) -> locks.Lock:
        lock = locks.take(folder / records.LOCK)
        if lock is None:
            there = self.one(folder.name)
            at = f" at {there.address}" if there.address else ""
            raise UserError(f"{spec.name} is served already{at}. Use that endpoint, or stop it.")
        return lock

    def _await_start(self, process: subprocess.Popen[bytes], folder: Path, spec: Spec) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            server = records.read(folder / records.SERVER, Server)
            if server is not None and server.start == spec.start:
                return
            if process.poll() is not None:
                ended = records.read(folder / records.EXIT, Exit)
                if ended is not None and ended.start == spec.start:
                    raise UserError(ended.reason)
                raise UserError(
                    f"The endpoint of {spec.name} could not be started. See {folder / records.LOG}."
                )
            time.sleep(_PAUSE_SECONDS)
        raise UserError(
            f"The endpoint of {spec.name} has not begun to listen after {_START_SECONDS:.0f} "
            f"seconds. See {folder / records.LOG}."
        )

    def _wish(
        self, name: str, wanted: Wanted, reason: str | None, done: Callable[[EndpointFacts], bool]
    ) -> EndpointFacts:
        found = self.one(name)
        if done(found):
            return found
        folder = self._root / found.id
        spec = records.read(folder / records.SPEC, Spec)
        assert spec is not None
        control = Control(start=spec.start, number=time.time_ns(), wanted=wanted, reason=reason)
        records.write(folder / records.CONTROL, control)
        until = time.monotonic() + _WISH_SECONDS
        while time.monotonic() < until:
            now = facts_of(folder)
            if now is None or done(now) or not now.alive:
                return now or found
            time.sleep(_PAUSE_SECONDS)
        raise UserError(
            f"The endpoint {found.id} has not done it after {_WISH_SECONDS:.0f} seconds. See "
            f"{folder / records.LOG}."
        )


def _client_name(label: str) -> str:
    """A model as clients name it: of a folder its last name alone."""
    return Path(label).name if os.path.isabs(label) or label.startswith((".", "~")) else label


def _id_of(spec: Spec) -> str:
    """One endpoint for each name of a model."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", spec.name).strip("-")[:40] or "model"
    if plain == spec.name:
        return plain
    return f"{plain}-{hashlib.sha256(spec.name.encode()).hexdigest()[:6]}"


def _check_memory(reference: ModelReference, weights: int) -> None:
    """Refuse a model that would push out what runs.

    Raises:
        UserError: what is free is less than what the model takes.
    """
    needed = int(weights * _BESIDE_WEIGHTS)
    free = psutil.virtual_memory().available
    if needed > free:
        raise UserError.at(
            "anyway",
            f"{reference.label} needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of "
            "memory is free. Wait for training to end, unload other models, or serve a smaller or "
            "quantized one.",
        )
