"""A machine as its user describes it, and what its values may be.

Each value may end up in a command: of ssh, of `mlx.launch`, or of the shell that sshd starts. So
each is held to an alphabet in which no shell knows a special character, and none may begin with
a hyphen, so that none is taken for an option.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from cptstudio.errors import UserError
from cptstudio.validation import ReadsNumbers, wrong
from cptstudio.workspace import check_name

Backend = Literal["ring", "jaccl", "mpi", "nccl"]
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SSH: Final = re.compile(rf"(?:[A-Za-z_][A-Za-z0-9._-]{{0,31}}@)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_FOLDER: Final = re.compile(r"(?:/[\w.+@][\w.+@-]*(?: [\w.+@][\w.+@-]*)*)+")
_PYTHON: Final = re.compile(r"(?:/[\w.+@][\w.+@-]*)*/python[0-9.]{0,8}")
_DEVICE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,14}", re.ASCII)
_LONGEST_PATH: Final = 1000
_MOST_ADDRESSES: Final = 16


class Machine(ReadsNumbers, extra="forbid", frozen=True):
    """A machine that may train, as `cpt-studio machines add` takes it and the workspace keeps it.

    Attributes:
        rdma: of JACCL: the names of other machines, and which device here leads to each.
    """

    name: str = Field(title="Name", description="What you call the machine.")
    ssh: str = Field(
        max_length=290,
        title="SSH host",
        description="As ssh takes it: a host name, user@host, or a name from ~/.ssh/config.",
    )
    port: int | None = Field(
        None, ge=1, le=65535, title="SSH port", description="As ~/.ssh/config says, or 22."
    )
    python: str = Field(
        max_length=_LONGEST_PATH,
        title="Python",
        description="Path there of the Python that has CPT Studio.",
    )
    folder: str = Field(
        max_length=_LONGEST_PATH, title="Folder", description="Workspace folder there."
    )
    backend: Backend = Field(
        "ring", title="Backend", description="What the machines exchange numbers through."
    )
    addresses: tuple[str, ...] = Field(
        (),
        max_length=_MOST_ADDRESSES,
        title="Addresses",
        description="Its IPv4 addresses that the other machines reach it by.",
    )
    interface: str | None = Field(
        None, title="Interface", description="Network interface, for MPI and NCCL."
    )
    rdma: dict[str, str] = Field(
        default_factory=dict,
        max_length=_MOST_ADDRESSES,
        title="RDMA devices",
        description="For JACCL: the device that leads to each other machine.",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _named(value)

    @field_validator("ssh")
    @classmethod
    def _check_ssh(cls, value: str) -> str:
        if not _SSH.fullmatch(value):
            raise wrong(
                f"{value!r} is not a host that can be used. Give a host name, an IPv4 address, "
                "user@host, or a name from ~/.ssh/config, of letters, digits, dots, hyphens and "
                "underscores. A port goes into --port."
            )
        return value

    @field_validator("python", "folder")
    @classmethod
    def _check_path(cls, value: str, info: ValidationInfo) -> str:
        is_python = info.field_name == "python"
        if not (_PYTHON if is_python else _FOLDER).fullmatch(value) or ".." in value.split("/"):
            what = "a Python" if is_python else "a folder"
            end = ", ending in python, python3 or the like" if is_python else ""
            raise wrong(
                f"{value!r} can't be used as {what}. Give the whole path there{end}, of letters, "
                "digits, dots, hyphens and underscores."
            )
        return value

    @field_validator("addresses")
    @classmethod
    def _check_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                address = ipaddress.IPv4Address(value)
            except ValueError:
                raise wrong(
                    f"{value!r} is not an IPv4 address, such as 192.168.1.10. MLX takes no names "
                    "and no IPv6 addresses here."
                ) from None
            if address.is_unspecified or address.is_multicast:
                raise wrong(f"{value} is no address of one machine. Give the machine's own.")
        if len(set(values)) < len(values):
            raise wrong("An address is given twice. Give each once.")
        return values

    @field_validator("interface")
    @classmethod
    def _check_interface(cls, value: str | None) -> str | None:
        return None if value is None else _device(value, "a network interface, such as en5")

    @field_validator("rdma")
    @classmethod
    def _check_rdma(cls, values: dict[str, str]) -> dict[str, str]:
        return {
            _named(name): _device(device, "an RDMA device, such as rdma_en5")
            for name, device in values.items()
        }


def _named(value: str) -> str:
    try:
        return check_name(value, "machine")
    except UserError as error:
        raise wrong(str(error)) from None


def _device(value: str, what: str) -> str:
    if not _DEVICE.fullmatch(value):
        raise wrong(f"{value!r} is not {what}.")
    return value
