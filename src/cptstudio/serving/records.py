"""What is written down about an endpoint, in `<workspace>/.cpt-studio/endpoints/<id>/`.

As with runs, each record has one writer: whoever starts it writes spec.json and control.json, the
endpoint writes server.json, state.json and exit.json. Every record carries the id of the start it
belongs to. The lock that the endpoint holds is the only proof that it is alive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ConfigDict, ValidationError

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.runs.identity import ProcessIdentity
from cptstudio.runs.records import RECORD_LIMIT
from cptstudio.validation import LateModel

FOLDER: Final = "endpoints"
SPEC: Final = "spec.json"
LOCK: Final = "lock"
SERVER: Final = "server.json"
STATE: Final = "state.json"
CONTROL: Final = "control.json"
EXIT: Final = "exit.json"
LOG: Final = "endpoint.log"

HOST: Final = "127.0.0.1"
"""An endpoint is for this machine alone."""

Wanted = Literal["stop", "unload", "load"]


class Record(LateModel):
    """Base of what is stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: str


class Spec(Record):
    """What is to be served.

    Attributes:
        start: id of this start.
        label: the model as the user named it.
        name: the model as clients name it.
        model: folder of the (base) model.
        adapter: folder of an adapter to put on it, or None.
        context: tokens that prompt and text may have together.
        port: to listen on; None for the first that is free.
        at_once: requests that are taken at the same time.
        requested: Unix time in seconds.
    """

    label: str
    name: str
    model: str
    adapter: str | None
    context: int
    port: int | None
    at_once: int
    fast_blas: bool
    requested: float


class Server(Record):
    """Who serves: written once the port is bound."""

    pid: int
    started_at: float
    boot: str
    port: int
    started: float

    @property
    def identity(self) -> ProcessIdentity:
        """The process beyond doubt."""
        return ProcessIdentity(self.pid, self.started_at, self.boot)


class State(Record):
    """What an endpoint does now.

    Attributes:
        reason: why its model was unloaded, or None.
        chat: whether the model has a chat template; None before it is loaded.
        worker: pid of the process that holds the model, or None.
        memory: bytes of the model's arrays, or None.
        requests: that were taken since the start.
        tokens: that were made since the start.
        under_way: requests at this moment.
        last_request: Unix time in seconds, or None.
    """

    state: Literal["loading", "ready", "unloaded"]
    reason: str | None = None
    chat: bool | None = None
    worker: int | None = None
    memory: int | None = None
    requests: int = 0
    tokens: int = 0
    under_way: int = 0
    last_request: float | None = None


class Control(Record):
    """What the user wants of an endpoint that runs; `number` tells one wish from the next."""

    number: int
    wanted: Wanted
    reason: str | None = None


class Exit(Record):
    """How an endpoint ended; without one it was killed.

    Attributes:
        stopped: because the user wanted it.
    """

    stopped: bool
    reason: str
    ended: float


KINDS: Final[dict[str, type[Record]]] = {
    SPEC: Spec,
    SERVER: Server,
    STATE: State,
    CONTROL: Control,
    EXIT: Exit,
}

Stored = TypeVar("Stored", bound=Record)


def write(path: Path, record: Record, *, lasting: bool = True) -> None:
    """Write a record atomically, readable by the user alone."""
    data = durable.dump_json(record.model_dump(mode="json"), indent=2).encode() + b"\n"
    with durable.atomic_file(path, 0o600, lasting=lasting) as file:
        file.write(data)


def read(path: Path, kind: type[Stored]) -> Stored | None:
    """Read a record; None when there is none.

    Raises:
        UnusableFileError: what is there is no such record.
    """
    try:
        value = durable.read_json(path, RECORD_LIMIT)
    except FileNotFoundError:
        return None
    try:
        return kind.model_validate(value)
    except ValidationError:
        raise UnusableFileError(path, "is not a valid record of an endpoint") from None
