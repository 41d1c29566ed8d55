"""The machines of a workspace: `.cpt-studio/machines.json`, read strictly.

    {"machines": [{"name": ..., "ssh": ..., ...}, ...]}

with the fields of `machine.Machine`. It holds no secret: keys and passphrases are ssh's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.machines.machine import Machine
from cptstudio.validation import sentences
from cptstudio.workspace import Workspace

FILE: Final = "machines.json"
_MOST: Final = 64


def read_machines(workspace: Workspace) -> list[Machine]:
    """Return the machines of a workspace in the order in which they were added.

    Raises:
        UserError: the file is damaged; says what to do.
    """
    path = workspace.private / FILE
    try:
        content = durable.read_json(path, durable.MEBIBYTE)
    except FileNotFoundError:
        return []
    entries = content.get("machines") if isinstance(content, dict) else None
    if not isinstance(entries, list) or content.keys() != {"machines"}:
        raise _damaged(path, "it is not a list of machines")
    found: list[Machine] = []
    for entry in entries:
        try:
            machine = Machine.model_validate(entry)
        except ValidationError as error:
            raise _damaged(path, sentences(error, Machine)[0].rstrip(".")) from None
        if any(_same(machine.name, other.name) for other in found):
            raise _damaged(path, f"it has two machines {machine.name!r}")
        found.append(machine)
    return found


def find_machines(workspace: Workspace, names: Sequence[str]) -> list[Machine]:
    """Return the machines with these names, in this order; all if none is given.

    Raises:
        UserError: there is no such machine, or a name is given twice.
    """
    known = read_machines(workspace)
    if not names:
        return known
    if len(set(names)) < len(names):
        raise UserError("A machine is given twice. Give each once.")
    by_name = {machine.name: machine for machine in known}
    for name in names:
        if name not in by_name:
            there = ", ".join(by_name) or "none"
            raise UserError(
                f"There is no machine {name!r}. There are: {there}. Add it with "
                "`cpt-studio machines add`."
            )
    return [by_name[name] for name in names]


def keep_machine(workspace: Workspace, machine: Machine, *, replace: bool = False) -> None:
    """Keep a machine in the workspace.

    Args:
        replace: in the place of the one with its name.

    Raises:
        UserError: there is one with this name already, or there are too many.
    """
    known = read_machines(workspace)
    twin = next((at for at, one in enumerate(known) if _same(one.name, machine.name)), None)
    if twin is None:
        known.append(machine)
    elif replace and known[twin].name == machine.name:
        known[twin] = machine
    else:
        raise UserError.at(
            "name",
            f"There is already a machine {known[twin].name!r}. Choose another name, or change that "
            "one with --replace.",
        )
    if len(known) > _MOST:
        raise UserError(f"There are {_MOST} machines already. Remove one first.")
    _write(workspace, known)


def remove_machine(workspace: Workspace, name: str) -> Machine:
    """Forget a machine; nothing is done on it.

    Raises:
        UserError: there is no such machine.
    """
    (gone,) = find_machines(workspace, [name])
    _write(workspace, [one for one in read_machines(workspace) if one.name != name])
    return gone


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()


def _write(workspace: Workspace, machines: Sequence[Machine]) -> None:
    folder = workspace.make(workspace.private, 0o700)
    content = {"machines": [machine.model_dump(mode="json") for machine in machines]}
    durable.write_json(folder / FILE, content, mode=0o600)


def _damaged(path: Path, why: str) -> UnusableFileError:
    return UnusableFileError(path, f"{why}. Mend it, or delete it and add your machines again")
