"""`cpt-studio machines`: other machines that may train, and what is wrong with them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio import durable
from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    console,
    errors,
    print_json,
)
from cptstudio.errors import UserError, refusal_of
from cptstudio.machines.doctor import Finding, as_json, check_machines
from cptstudio.machines.launch_lines import FIRST_PORT, host_file, launch_command
from cptstudio.machines.machine import Machine
from cptstudio.machines.machines_file import (
    find_machines,
    keep_machine,
    read_machines,
    remove_machine,
)
from cptstudio.machines.ssh import CONNECT_SECONDS
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Other machines that you reach by ssh: kept in the workspace, and checked.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "red"}
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What you call the machine.")]


@app.command()
def add(
    name: NameArgument,
    ssh: Annotated[
        str,
        typer.Argument(metavar="HOST", help="Host name, user@host, or a name from ~/.ssh/config."),
    ],
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="SSH port.", show_default="as ~/.ssh/config says"),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="Path there of the Python that has CPT Studio.", show_default="as here"),
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="Workspace folder there.", show_default="as here")
    ] = None,
    backend: Annotated[str, typer.Option(help="ring, jaccl, mpi or nccl.")] = "ring",
    addresses: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="IP", help="IPv4 address for the other machines; repeatable."
        ),
    ] = None,
    interface: Annotated[
        str | None, typer.Option(help="Network interface there, for MPI and NCCL.")
    ] = None,
    rdma: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OTHER=DEVICE",
            help="For JACCL: the RDMA device there that leads to another machine; repeatable.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the machine of this name.")
    ] = False,
    workspace: NewWorkspaceOption = Path(),
    as_json_: JsonOption = False,
) -> None:
    """Add a machine to the workspace. Nothing is sent to it yet: `machines check` does.

    Example: `cpt-studio machines add studio-2 me@studio-2.local --address 192.168.1.12`
    """
    place = Workspace(workspace)
    machine = checked(
        Machine,
        name=name,
        ssh=ssh,
        port=port,
        python=sys.executable if python is None else python,
        folder=str(place.root) if folder is None else folder,
        backend=backend,
        addresses=tuple(addresses or ()),
        interface=interface,
        rdma=_pairs(rdma or []),
    )
    keep_machine(place, machine, replace=replace)
    if as_json_:
        print_json(machine.model_dump(mode="json"))
        return
    console.print(
        f"Added {escape(name)}. Check it: `cpt-studio machines check {escape(name)}`",
        soft_wrap=True,
    )


@app.command("list")
def show_all(workspace: WorkspaceOption = Path(), as_json_: JsonOption = False) -> None:
    """List the machines.

    Example: `cpt-studio machines list`
    """
    machines = read_machines(Workspace(workspace))
    if as_json_:
        print_json([machine.model_dump(mode="json") for machine in machines])
        return
    if not machines:
        console.print("There are no machines. Add one: `cpt-studio machines add NAME HOST`.")
        return
    table = Table()
    for title in ("Name", "SSH host", "Port", "Backend", "Addresses", "Python", "Folder"):
        table.add_column(title, overflow="fold", justify="right" if title == "Port" else "left")
    for one in machines:
        port = "" if one.port is None else str(one.port)
        cells = (one.name, one.ssh, port, one.backend, ", ".join(one.addresses))
        table.add_row(*(escape(cell) for cell in (*cells, one.python, one.folder)))
    console.print(table)


@app.command()
def remove(name: NameArgument, workspace: WorkspaceOption = Path()) -> None:
    """Remove a machine from the list. Nothing is changed on it.

    Example: `cpt-studio machines remove studio-2`
    """
    gone = remove_machine(Workspace(workspace), name)
    console.print(f"Removed {escape(gone.name)}.")


@app.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Machines to check.", show_default="all"),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--connect-seconds", min=1, max=120, help="Wait this long for ssh.")
    ] = CONNECT_SECONDS,
    workspace: WorkspaceOption = Path(),
    as_json_: JsonOption = False,
) -> None:
    """Look over ssh for what is wrong with machines, and say what to do.

    Checks ssh, Python and versions, the folder, free disk and memory, the clock, and the machine's
    own addresses. Ends with status 1 if there is a fault.

    Example: `cpt-studio machines check`
    """
    machines = find_machines(Workspace(workspace), names or [])
    if not machines:
        raise UserError("There are no machines. Add one: `cpt-studio machines add NAME HOST`.")
    with errors.status("Checking", spinner="line"):
        found = check_machines(machines, seconds)
    if as_json_:
        print_json(as_json(found))
    else:
        for name, findings in found.items():
            _print_findings(name, findings)
    if any(finding.level == "fault" for findings in found.values() for finding in findings):
        raise typer.Exit(1)


@app.command()
def hostfile(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Machines; the first one is rank 0.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", dir_okay=False, help="The file to write.")
    ] = Path("machines-hostfile.json"),
    first_port: Annotated[
        int, typer.Option(min=1024, max=65000, help="First port of the connections.")
    ] = FIRST_PORT,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write a host file for `mlx.launch`, and print its command for a program of your own.

    Example: `cpt-studio machines hostfile studio-1 studio-2`
    """
    machines = find_machines(Workspace(workspace), names)
    content = host_file(machines)
    command = launch_command(machines, str(output.absolute()), ["PROGRAM.py"], first_port)
    if output.exists():
        raise UserError(f"{output} is there already. Choose another file, or delete it first.")
    try:
        durable.write_json(output.absolute(), content)
    except OSError as error:
        said = f"Could not write {output}: {error.strerror}."
        raise refusal_of(error) or UserError(said) from None
    console.print(f"Wrote {escape(str(output))}. Start a program with it:", soft_wrap=True)
    console.print(shlex.join(command), markup=False, soft_wrap=True)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        other, equals, device = text.partition("=")
        if not equals or other in pairs:
            raise UserError.at(
                "rdma", f"--rdma {text!r}: give OTHER=DEVICE, once for each other machine."
            )
        pairs[other] = device
    return pairs


def _print_findings(name: str, findings: list[Finding]) -> None:
    console.print(f"[bold]{escape(name)}[/]")
    for one in findings:
        style = _STYLES[one.level]
        console.print(
            f"  [{style}]{one.level:7}[/] {one.about}: {escape(one.sentence)}", soft_wrap=True
        )
