"""The endpoints whose hosts the user confirmed, in the workspace; no others are ever asked.

`.cpt-studio/remote_endpoints.json` holds addresses, dates, where a key comes from and prices. It
never holds a key.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.remote_endpoints.address import Address, parse_address
from cptstudio.validation import LateModel, ReadsNumbers, sentences
from cptstudio.workspace import Workspace

FILE: Final = "remote_endpoints.json"
KeySource = Literal["none", "environment", "keyring"]
_VARIABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,91}_API_KEY")
_MOST: Final = 100
Price = Annotated[float | None, Field(ge=0, le=1_000_000)]


class EndpointChoices(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """What the user says of an endpoint."""

    address: str = Field(
        min_length=1,
        max_length=500,
        title="Address",
        description="Base URL, such as https://api.example.com/v1.",
    )
    key: KeySource = Field(
        "none",
        title="API key",
        description="Where the key comes from: nowhere, an environment variable, or the system's "
        "keyring. It is never stored by CPT Studio itself.",
    )
    variable: str | None = Field(
        None,
        max_length=100,
        title="Environment variable",
        description="Its name, which ends in _API_KEY.",
    )
    price_in: Price = Field(
        None, title="Price per million input tokens", description="In the currency you pay in."
    )
    price_out: Price = Field(
        None, title="Price per million output tokens", description="In the currency you pay in."
    )


class RemoteEndpoint(LateModel):
    """An endpoint whose host the user confirmed.

    Attributes:
        id: how pages and commands name it; from its address.
        host: what was confirmed.
        confirmed: when, ISO 8601.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    address: str
    host: str
    confirmed: str
    key: KeySource = "none"
    variable: str | None = None
    price_in: float | None = None
    price_out: float | None = None

    @property
    def place(self) -> Address:
        """Its address in parts."""
        return parse_address(self.address)


def check_choices(choices: EndpointChoices) -> Address:
    """Return the address of what the user says, if all of it can be.

    Raises:
        UserError: names the field.
    """
    address = parse_address(choices.address)
    if choices.key == "environment" and not _VARIABLE.fullmatch(choices.variable or ""):
        # So that a request to the API cannot send whatever else the environment holds.
        raise UserError.at(
            "variable",
            "Name an environment variable that ends in _API_KEY, such as EXAMPLE_API_KEY.",
        )
    if choices.key != "none" and not (address.is_encrypted or address.is_local):
        raise UserError.at(
            "key",
            f"{address.host} is asked without encryption, so everybody on the way could read the "
            "key. Use https://, or no key.",
        )
    return address


def confirm(workspace: Workspace, choices: EndpointChoices, host: str) -> RemoteEndpoint:
    """Note that the user confirmed an endpoint's host, in the place of what was noted of it.

    Args:
        host: what the user confirmed, which must be the address's own.

    Raises:
        UserError: it is another host, or a value cannot be right.
    """
    address = check_choices(choices)
    if host.strip().lower() != address.host:
        raise UserError.at(
            "confirmed", f"Confirm the host that will get your texts: {address.host}."
        )
    noted = RemoteEndpoint(
        id=_id(address),
        address=address.text,
        host=address.host,
        confirmed=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        key=choices.key,
        variable=choices.variable if choices.key == "environment" else None,
        price_in=choices.price_in,
        price_out=choices.price_out,
    )
    others = [one for one in confirmed_endpoints(workspace) if one.id != noted.id]
    if len(others) >= _MOST:
        raise UserError(f"There are {_MOST} endpoints already. Remove one first.")
    _write(workspace, [*others, noted])
    return noted


def remove(workspace: Workspace, named: str) -> RemoteEndpoint:
    """Forget an endpoint, which is then no longer asked; returns what was noted of it.

    Raises:
        UserError: there is no such endpoint.
    """
    gone = find(workspace, named)
    _write(workspace, [one for one in confirmed_endpoints(workspace) if one.id != gone.id])
    return gone


def find(workspace: Workspace, named: str) -> RemoteEndpoint:
    """Return a confirmed endpoint by its id, its address or its host.

    Raises:
        UserError: no such endpoint was confirmed, or several are meant.
    """
    known = confirmed_endpoints(workspace)
    text = named.strip().rstrip("/")
    found = [one for one in known if text in (one.id, one.address)]
    found = found or [one for one in known if text.lower() == one.host]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"Several endpoints are at {text}: {', '.join(one.address for one in found)}. Give the "
            "whole address."
        )
    there = ", ".join(one.address for one in known) or "none"
    raise UserError(
        "No such endpoint was confirmed. Confirm one with `cpt-studio remote add ADDRESS`. "
        f"Confirmed: {there}."
    )


def confirmed_endpoints(workspace: Workspace) -> list[RemoteEndpoint]:
    """Return all endpoints that the user confirmed, the first one first.

    Raises:
        UserError: the file is damaged; says what to do.
    """
    path = workspace.private / FILE
    try:
        content = durable.read_json(path)
    except FileNotFoundError:
        return []
    entries = content.get("endpoints") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise _damaged(path, "it holds no list of endpoints")
    found = []
    for entry in entries:
        try:
            one = RemoteEndpoint.model_validate(entry)
        except ValidationError as error:
            raise _damaged(path, sentences(error, RemoteEndpoint)[0].rstrip(".")) from None
        # A changed file must not lead keys or texts to a host that nobody confirmed.
        place = one.place
        if one.id != _id(place) or one.host != place.host or one.address != place.text:
            raise _damaged(path, f"its host {one.host} is not that of its address")
        choices = EndpointChoices(**one.model_dump(include=set(EndpointChoices.model_fields)))
        check_choices(choices)
        found.append(one)
    return found


def _id(address: Address) -> str:
    return hashlib.sha256(address.text.encode()).hexdigest()[:12]


def _write(workspace: Workspace, endpoints: list[RemoteEndpoint]) -> None:
    folder = workspace.make(workspace.private, 0o700)
    content = {"endpoints": [one.model_dump(mode="json") for one in endpoints]}
    durable.write_json(folder / FILE, content, mode=0o600)


def _damaged(path: Path, why: str) -> UnusableFileError:
    return UnusableFileError(path, f"{why}. Delete it, and confirm your endpoints again")
