"""The host file and the command of `mlx.launch` (mlx 0.32.4) for machines, by backend.

What each backend needs there, from `mlx/_distributed_utils/launch.py` and `common.py`:

- ring: an IPv4 address and port for each connection; ports count up from the first over all ranks.
- JACCL: of each pair of machines the RDMA device at either end; rank 0's address coordinates.
- NCCL: rank 0's address.
- MPI: ssh hosts alone; `mpirun` starts the ranks itself, by names that cannot carry a port.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.machines.machine import Backend, Machine

FIRST_PORT: Final = 32323
"""mlx.launch's own."""
_JACCL_VARIABLES: Final = ("MLX_METAL_FAST_SYNCH=1",)
"""As MLX's guide to distributed communication sets it for JACCL."""


def host_file(machines: Sequence[Machine]) -> dict[str, Any]:
    """Return what `mlx.launch --hostfile` reads; the first machine has rank 0.

    Raises:
        UserError: names the machine that lacks what its backend needs.
    """
    backend = _backend_of(machines)
    if backend == "mpi":
        _check_mpi(machines)
    elif backend == "ring":
        _check_ring(machines)
    else:
        _require_address(machines[0], "the others reach rank 0 there")
    return {
        "backend": backend,
        "envs": list(_variables(backend, machines)),
        "hosts": [
            {
                "ssh": _destination(machine),
                "ips": list(machine.addresses),
                "rdma": _devices(machine, machines) if backend == "jaccl" else [],
            }
            for machine in machines
        ],
    }


def launch_command(
    machines: Sequence[Machine],
    host_file_path: str,
    arguments: Sequence[str],
    first_port: int = FIRST_PORT,
) -> list[str]:
    """Return the command that starts a Python program on machines, as an argument list.

    Args:
        host_file_path: of what `host_file` returns for the same machines.
        arguments: Python's own on each machine, such as ["-m", "some.module"].
        first_port: of the ring, of JACCL's coordinator, or of NCCL.

    Raises:
        UserError: the machines differ in what `mlx.launch` has once for all.
    """
    backend = _backend_of(machines)
    first = machines[0]
    for what in ("python", "folder"):
        for other in machines[1:]:
            here, there = getattr(first, what), getattr(other, what)
            if here != there:
                raise UserError(
                    f"{first.name} and {other.name} have different paths of the {what}: {here} and "
                    f"{there}. mlx.launch has one for all machines: use the same path on both."
                )
    command = ["mlx.launch", f"--hostfile={host_file_path}", f"--backend={backend}"]
    command.append(f"--cwd={first.folder}")
    if backend in ("ring", "jaccl"):
        command.append(f"--starting-port={first_port}")
    elif backend == "nccl":
        command.append(f"--nccl-port={first_port}")
    elif first.interface is not None:
        for setting in ("btl_tcp_if_include", "oob_tcp_if_include"):
            command.append(f"--mpi-arg=--mca {setting} {first.interface}")
    return [*command, "--", first.python, *arguments]


def _backend_of(machines: Sequence[Machine]) -> Backend:
    if len(machines) < 2:
        raise UserError("Give at least two machines.")
    first = machines[0]
    for other in machines[1:]:
        if other.backend != first.backend:
            raise UserError(
                f"{first.name} has the backend {first.backend} and {other.name} {other.backend}. "
                "All machines need the same one: `cpt-studio machines add --replace`."
            )
    return first.backend


def _destination(machine: Machine) -> str:
    """Return the host as `mlx.launch` hands it to ssh: it has no option for a port."""
    return machine.ssh if machine.port is None else f"ssh://{machine.ssh}:{machine.port}"


def _check_ring(machines: Sequence[Machine]) -> None:
    for machine in machines:
        _require_address(machine, "its neighbors in the ring reach it there")
    first = machines[0]
    for other in machines[1:]:
        if len(other.addresses) != len(first.addresses):
            raise UserError(
                f"{first.name} has {len(first.addresses)} addresses and {other.name} "
                f"{len(other.addresses)}. In a ring, each needs as many: one for each cable."
            )
    every = [address for machine in machines for address in machine.addresses]
    twice = next((address for address in every if every.count(address) > 1), None)
    if twice is not None:
        raise UserError(f"Two machines have the address {twice}. Give each its own.")


def _require_address(machine: Machine, why: str) -> None:
    if not machine.addresses:
        raise UserError(
            f"{machine.name} has no address: {why}. Give it with `cpt-studio machines add "
            "--replace --address`."
        )


def _check_mpi(machines: Sequence[Machine]) -> None:
    for machine in machines:
        if machine.port is not None:
            raise UserError(
                f"{machine.name} has an SSH port, which mpirun can't be given. Put host and port "
                "into ~/.ssh/config under a name, and use that name as the SSH host."
            )
        if machine.interface != machines[0].interface:
            raise UserError(
                f"{machines[0].name} and {machine.name} have different interfaces. mpirun has one "
                "for all machines: leave it out, or use the same one."
            )


def _devices(machine: Machine, machines: Sequence[Machine]) -> list[str | None]:
    devices: list[str | None] = []
    for other in machines:
        if other is not machine and other.name not in machine.rdma:
            raise UserError(
                f"{machine.name} has no RDMA device that leads to {other.name}. Give it with "
                f"`cpt-studio machines add --replace --rdma {other.name}=DEVICE`."
            )
        devices.append(None if other is machine else machine.rdma[other.name])
    return devices


def _variables(backend: Backend, machines: Sequence[Machine]) -> Sequence[str]:
    if backend == "jaccl":
        return _JACCL_VARIABLES
    interfaces = sorted({one.interface for one in machines if one.interface is not None})
    if backend == "nccl" and interfaces:
        # "=": those names exactly. NCCL takes the ones that a machine has.
        return [f"NCCL_SOCKET_IFNAME=={','.join(interfaces)}"]
    return ()
