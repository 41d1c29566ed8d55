"""The doctor: what is wrong with a machine, each in a sentence with what to do.

It looks at one machine at a time, over ssh. What only several show together (which reach each
other, how fast) it does not look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from cptstudio.machines import check_program
from cptstudio.machines.check_program import MARK
from cptstudio.machines.machine import Machine
from cptstudio.machines.ssh import CONNECT_SECONDS, Answer, run_there
from cptstudio.training.machine import installed_versions
from cptstudio.validation import LateModel

PACKAGES: Final = ("cpt-studio", "mlx", "mlx-lm")
"""Whose versions are the same on all machines, or numbers differ."""
LEAST_DISK: Final = 10 * 10**9
LEAST_MEMORY: Final = 2 * 10**9
MOST_CLOCK_SECONDS: Final = 2.0
"""More than time servers leave, and little enough to put machines' records in order."""
_AT_ONCE: Final = 8
_DAEMONS_OF_MPI: Final = ("prted", "orted")
"""What mpirun starts on other machines, of Open MPI 5 and before."""
_Text = Annotated[str, Field(max_length=500)]
Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """What the doctor saw of one thing.

    Attributes:
        about: "ssh", "Python", "versions", "folder", "disk", "memory", "clock" or "network".
        level: a warning can be lived with, a fault can't.
        sentence: what is so, and of a fault or warning what to do.
    """

    about: str
    level: Level
    sentence: str


class Report(LateModel):
    """What `check_program` saw; it comes from outside and is read strictly."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    python: _Text
    system: _Text
    versions: dict[_Text, _Text | None]
    folder: _Text
    disk_free: int | None = Field(ge=0)
    memory_free: int | None = Field(ge=0)
    wrong_addresses: list[_Text]
    missing_interfaces: list[_Text]
    missing_commands: list[_Text]
    clock: float


def check_machines(
    machines: Sequence[Machine], connect_seconds: int = CONNECT_SECONDS
) -> dict[str, list[Finding]]:
    """Return the findings of each machine by its name; several are looked at at once."""
    here = installed_versions()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda one: check_machine(one, here, connect_seconds), machines)
        return dict(zip([machine.name for machine in machines], found, strict=True))


def check_machine(
    machine: Machine, here: Mapping[str, str], connect_seconds: int = CONNECT_SECONDS
) -> list[Finding]:
    """Return what is to be said of a machine, good and bad.

    Args:
        here: the versions of Python and of packages on this machine.
    """
    answer = run_there(machine, program_for(machine), connect_seconds)
    found = [] if answer.changed_key is None else [Finding("ssh", "fault", answer.changed_key)]
    if answer.failure is not None:
        about = "Python" if machine.python in answer.failure else "ssh"
        return found or [Finding(about, "fault", answer.failure)]
    report = report_in(answer.output)
    if report is None:
        sentence = (
            f"What answered on {machine.name} is not the check. Check that {machine.python} is a "
            "Python there, and that the account may run commands over ssh."
        )
        return [*found, Finding("Python", "fault", sentence)]
    if not found:
        found.append(Finding("ssh", "ok", f"{machine.ssh} lets you in without a password."))
    return [*found, *judge(machine, report, answer, here)]


def program_for(machine: Machine) -> str:
    """Return the source of the program that looks at a machine."""
    request = {
        "packages": PACKAGES,
        "folder": machine.folder,
        "addresses": machine.addresses,
        "interfaces": [] if machine.interface is None else [machine.interface],
        "commands": _DAEMONS_OF_MPI if machine.backend == "mpi" else [],
    }
    source = Path(check_program.__file__).read_text(encoding="utf-8")
    # Python looks for modules in the current folder, too, where a file may have the name of one.
    return (
        "import sys\n"
        "sys.path[:] = [folder for folder in sys.path if folder]\n"
        f"sys.argv[:] = ['check', {json.dumps(request)!a}]\n"
        f"exec(compile({source!a}, 'check', 'exec'))\n"
    )


def report_in(output: str) -> Report | None:
    """Return the report in what was printed; None where there is none."""
    for line in reversed(output.split("\n")):
        _, mark, text = line.partition(MARK)
        if mark:
            try:
                return Report.model_validate_json(text)
            except ValidationError:
                return None
    return None


def judge(
    machine: Machine, report: Report, answer: Answer, here: Mapping[str, str]
) -> list[Finding]:
    """Return what is to be said of a machine that answered."""
    return [
        _python(machine, report, here),
        *_versions(machine, report, here),
        _folder(machine, report),
        _room("disk", report.disk_free, LEAST_DISK, f"the disk of {machine.folder}", machine),
        _room("memory", report.memory_free, LEAST_MEMORY, "memory", machine),
        _clock(machine, report, answer),
        *_network(machine, report),
    ]


def _python(machine: Machine, report: Report, here: Mapping[str, str]) -> Finding:
    there, own = report.python, here["python"]
    if there.split(".")[:2] == own.split(".")[:2]:
        return Finding("Python", "ok", f"Python {there} at {machine.python}.")
    wanted = ".".join(own.split(".")[:2])
    return Finding(
        "Python",
        "fault",
        f"{machine.name} has Python {there} and this machine {own}. Install CPT Studio there with "
        f"Python {wanted}, and give its path: `cpt-studio machines add --replace --python`.",
    )


def _versions(machine: Machine, report: Report, here: Mapping[str, str]) -> list[Finding]:
    found = []
    for package in PACKAGES:
        there, own = report.versions.get(package), here.get(package)
        if there == own and own is not None:
            continue
        has = f"has {package} {there}" if there else f"has no {package}"
        install = f'`{machine.python} -m pip install "{package}=={own}"` there'
        found.append(
            Finding(
                "versions",
                "fault",
                f"{machine.name} {has}, and this machine {package} {own}. Run {install}."
                if own is not None
                else f"This machine has no {package}. Install it here.",
            )
        )
    named = ", ".join(f"{package} {here.get(package)}" for package in PACKAGES)
    return found or [Finding("versions", "ok", f"{named}, as here.")]


def _folder(machine: Machine, report: Report) -> Finding:
    folder, name = machine.folder, machine.name
    if report.folder == "ok":
        return Finding("folder", "ok", f"{folder} is there and can be written to.")
    sentence = {
        "missing": f"{name} has no folder {folder}. Make it there, or give another one: "
        "`cpt-studio machines add --replace --folder`.",
        "file": f"{folder} on {name} is no folder. Give another one: `cpt-studio machines add "
        "--replace --folder`.",
    }.get(
        report.folder,
        f"Nothing can be written to {folder} on {name} ({report.folder}). Make it yours there, "
        "free some space, or give another folder.",
    )
    return Finding("folder", "fault", sentence)


def _room(about: str, free: int | None, least: int, what: str, machine: Machine) -> Finding:
    if free is None:
        return Finding(about, "warning", f"How much is free of {what} could not be found out.")
    gigabytes = f"{free / 1e9:.1f} GB"
    if free >= least:
        return Finding(about, "ok", f"{gigabytes} of {what} are free.")
    do = "Delete what you no longer need there" if about == "disk" else "Close programs there"
    return Finding(
        about,
        "warning",
        f"Only {gigabytes} of {what} are free on {machine.name}. {do}; have at least "
        f"{least / 1e9:.0f} GB free.",
    )


def _clock(machine: Machine, report: Report, answer: Answer) -> Finding:
    """Compare the clocks: the one there was read at some time between beginning and end here."""
    behind, ahead = answer.began - report.clock, report.clock - answer.ended
    off = max(behind, ahead)
    if off <= MOST_CLOCK_SECONDS:
        return Finding("clock", "ok", "Its clock is right, compared with this machine's.")
    way = "behind" if behind > ahead else "ahead of"
    return Finding(
        "clock",
        "fault",
        f"The clock of {machine.name} is at least {off:,.0f} s {way} this machine's. Let both set "
        "their time by a time server (on a Mac: System Settings, General, Date & Time).",
    )


def _network(machine: Machine, report: Report) -> list[Finding]:
    name = machine.name
    found = [
        f"{address} is not an address of {name}. Look its addresses up there (`ifconfig`), and "
        "give the right one: `cpt-studio machines add --replace --address`."
        for address in report.wrong_addresses
    ]
    found += [
        f"{name} has no network interface {interface}. Look the names up there (`ifconfig`), and "
        "give the right one: `cpt-studio machines add --replace --interface`."
        for interface in report.missing_interfaces
    ]
    if machine.backend != "mpi" and not machine.addresses:
        found.append(
            f"{name} has no address that the other machines reach it by. Give it: `cpt-studio "
            "machines add --replace --address`."
        )
    if machine.backend == "mpi" and len(report.missing_commands) == len(_DAEMONS_OF_MPI):
        found.append(
            f"{name} has no Open MPI where ssh looks for commands. Install it there, and put its "
            "folder into PATH for shells that are not interactive (zsh: ~/.zshenv)."
        )
    if found:
        return [Finding("network", "fault", sentence) for sentence in found]
    told = ", ".join((*machine.addresses, *filter(None, [machine.interface])))
    return [Finding("network", "ok", f"It has {told}.")] if told else []


def as_json(found: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """Return findings as a command prints them for scripts."""
    return {name: [vars(finding) for finding in findings] for name, findings in found.items()}
