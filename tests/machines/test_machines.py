"""Machines of a workspace: their values, their file, and what `mlx.launch` is given for them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlx._distributed_utils import launch
from pydantic import ValidationError
from typer.testing import CliRunner

from cptstudio.cli.machines import app
from cptstudio.errors import UserError
from cptstudio.machines.doctor import program_for
from cptstudio.machines.launch_lines import host_file, launch_command
from cptstudio.machines.machine import Machine
from cptstudio.machines.machines_file import FILE, find_machines, keep_machine, read_machines
from cptstudio.machines.ssh import ssh_command
from cptstudio.workspace import Workspace
from tests.machines.payloads import PATHS, PAYLOADS

VALUES: dict[str, Any] = {
    "name": "one", "ssh": "me@one.local", "python": "/opt/venv/bin/python3.11",
    "folder": "/data/my runs",
}  # fmt: skip


def _machine(name: str = "one", **values: Any) -> Machine:
    return Machine(**{**VALUES, "name": name, "ssh": f"me@{name}.local", **values})


def test_no_value_with_shell_characters_or_like_an_option_is_taken(tmp_path: Path) -> None:
    assert len(PAYLOADS) >= 50 and len(PATHS) >= 50
    taken = []
    for field in ("name", "ssh", "python", "folder", "interface"):
        for value in PATHS if field in ("python", "folder") else PAYLOADS:
            try:
                taken.append((field, Machine(**{**VALUES, field: value})))
            except ValidationError:
                continue
    for value in PAYLOADS:
        more: list[dict[str, Any]] = [
            {"addresses": (value,)}, {"rdma": {"two": value}}, {"rdma": {value: "rdma_en2"}},
            {"ssh": f"{value}@one"}, {"ssh": f"me@{value}"}, {"backend": value},
            {"python": f"/a/{value}/python"}, {"port": value.strip() or "x"},
        ]  # fmt: skip
        for given in more:
            try:
                taken.append((value, Machine(**{**VALUES, **given})))
            except ValidationError:
                continue
    assert taken == []
    with pytest.raises(ValidationError, match="A port goes into --port"):
        Machine(**{**VALUES, "ssh": "me@one:22"})


def test_what_got_past_the_checks_would_reach_no_shell_either() -> None:
    for payload in PATHS:
        machine = Machine.model_construct(
            **{**VALUES, "ssh": payload, "python": payload, "folder": payload, "port": None,
               "backend": "ring", "addresses": (), "interface": payload}
        )  # fmt: skip
        *options, end, host, there = ssh_command(machine)
        assert (end, host) == ("--", payload)
        assert payload not in options and "BatchMode=yes" in options
        assert shlex.split(there) == [payload, "-"]
        # A string there, no code.
        program = compile(program_for(machine), "check", "exec")
        assert not {"touch", "HIT"} & set(program.co_names)


def test_the_file_is_read_strictly(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    keep_machine(workspace, _machine("one", port=2222, rdma={"two": "rdma_en2"}))
    keep_machine(workspace, _machine("two", addresses=("10.0.0.2",)))
    path = workspace.private / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    one, two = read_machines(workspace)
    assert (one.port, two.addresses) == (2222, ("10.0.0.2",))
    for twin in ("one", "ONE"):
        with pytest.raises(UserError, match="already a machine 'one'"):
            keep_machine(workspace, _machine(twin))
    keep_machine(workspace, _machine("one"), replace=True)
    assert [one.port for one in find_machines(workspace, ["two", "one"])] == [None, None]
    sound = json.loads(path.read_text())
    for change in (
        {"ssh": "-oProxyCommand=x"}, {"python": "/bin/sh"}, {"more": 1}, {"port": 0},
        {"name": "TWO"}, {"backend": "tcp"}, {"folder": 5},
    ):  # fmt: skip
        broken = {"machines": [{**sound["machines"][0], **change}, sound["machines"][1]]}
        path.write_text(json.dumps(broken))
        with pytest.raises(UserError, match="Mend it, or delete it"):
            read_machines(workspace)
    for content in ([], {"machines": {}}, {"machines": [], "more": 1}, {"machines": [1]}):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"machines\.json"):
            read_machines(workspace)


def _as_mlx_reads_it(
    machines: Sequence[Machine], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Any, Any, list[str]]:
    """What `mlx.launch` itself makes of host file and command, up to where it starts something."""
    path = folder / "hosts.json"
    path.write_text(json.dumps(host_file(machines)))
    command = launch_command(machines, str(path), ["-m", "some.module", "--flag"], 5000)
    seen: list[tuple[str, Any, Any, list[str]]] = []
    for name in ("ring", "jaccl", "mpi", "nccl"):

        def started(
            parser: Any, hosts: Any, options: Any, rest: list[str], name: str = name
        ) -> None:
            seen.append((name, hosts, options, rest))

        monkeypatch.setattr(launch, f"launch_{name}", started)
    monkeypatch.setattr(sys, "argv", command)
    launch.main()
    return seen[0]


@pytest.mark.parametrize("backend", ["ring", "jaccl", "mpi", "nccl"])
def test_mlx_launch_reads_host_file_and_command(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("one", "two", "three")
    machines = [
        _machine(
            name,
            backend=backend,
            port=None if backend == "mpi" else 2200 + at,
            addresses=() if backend == "mpi" else (f"10.0.0.{at + 1}",),
            interface="en5",
            rdma={other: f"rdma_{other}" for other in names if other != name},
        )
        for at, name in enumerate(names)
    ]
    launched, hosts, options, rest = _as_mlx_reads_it(machines, tmp_path, monkeypatch)
    assert launched == options.backend == backend
    assert rest == [VALUES["python"], "-m", "some.module", "--flag"]
    assert options.cwd == VALUES["folder"] and options.python is None
    if backend == "mpi":
        assert [host.ssh_hostname for host in hosts] == [f"me@{name}.local" for name in names]
        settings = [shlex.split(one) for one in options.mpi_arg]
        assert ["--mca", "btl_tcp_if_include", "en5"] in settings
    else:
        assert hosts[1].ssh_hostname == "ssh://me@two.local:2201"
        assert [host.ips for host in hosts] == [["10.0.0.1"], ["10.0.0.2"], ["10.0.0.3"]]
    if backend == "jaccl":
        assert hosts[1].rdma == ["rdma_one", None, "rdma_three"]
        assert options.env[0] == "MLX_METAL_FAST_SYNCH=1" and options.starting_port == 5000
    if backend == "nccl":
        assert options.env[0] == "NCCL_SOCKET_IFNAME==en5" and options.nccl_port == 5000


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ({}, {"addresses": ("10.0.0.2",)}, "one has no address"),
        ({"addresses": ("10.0.0.1",)}, {"addresses": ("10.0.0.2", "10.0.1.2")}, "needs as many"),
        ({"addresses": ("10.0.0.1",)}, {"addresses": ("10.0.0.1",)}, "Two machines have the addr"),
        ({"backend": "mpi"}, {}, "All machines need the same one"),
        ({"backend": "mpi"}, {"backend": "mpi", "port": 9}, "two has an SSH port"),
        ({"backend": "mpi", "interface": "en1"}, {"backend": "mpi"}, "different interfaces"),
        ({"backend": "nccl"}, {"backend": "nccl"}, "one has no address"),
        (
            {"backend": "jaccl", "addresses": ("10.0.0.1",), "rdma": {"two": "a"}},
            {"backend": "jaccl"},
            "two has no RDMA device that leads to one",
        ),
    ],
)
def test_what_a_backend_lacks_is_refused(
    first: dict[str, Any], second: dict[str, Any], refused: str
) -> None:
    with pytest.raises(UserError, match=refused):
        host_file([_machine("one", **first), _machine("two", **second)])
    with pytest.raises(UserError, match="at least two"):
        host_file([_machine("one", **first)])


def test_commands(tmp_path: Path) -> None:
    def ask(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "-w", str(tmp_path)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    same = ["--python", "/opt/bin/python3", "--folder", "/data"]
    assert "There are no machines" in ask("list")
    ask("add", "one", "me@one", "--address", "10.0.0.1", "--rdma", "two=rdma_en2", *same)
    ask("add", "two", "two", "--address", "10.0.0.2", "--port", "2222", *same)
    listed = json.loads(ask("list", "--json"))
    assert [(one["name"], one["ssh"], one["port"]) for one in listed] == [
        ("one", "me@one", None), ("two", "two", 2222),
    ]  # fmt: skip
    assert "10.0.0.2" in ask("list")
    path = tmp_path / "hosts.json"
    told = ask("hostfile", "two", "one", "-o", str(path))
    assert f"mlx.launch --hostfile={path} --backend=ring --cwd=/data" in told
    assert [host["ssh"] for host in json.loads(path.read_text())["hosts"]] == [
        "ssh://two:2222", "me@one",
    ]  # fmt: skip
    with pytest.raises(UserError, match="is there already"):
        ask("hostfile", "two", "one", "-o", str(path))
    with pytest.raises(UserError, match="different paths of the folder"):
        launch_command([_machine("one"), _machine("two", folder="/else")], "x", [])
    with pytest.raises(UserError, match="is not a host that can be used"):
        ask("add", "three", "three;touch x", *same)
    with pytest.raises(UserError, match="no machine 'three'"):
        ask("remove", "three")
    ask("remove", "one")
    assert [one.name for one in read_machines(Workspace(tmp_path))] == ["two"]
