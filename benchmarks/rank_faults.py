"""Kills and pauses what trains a run with several ranks, and sees what is left of it.

    python -m benchmarks.rank_faults [--ranks 2] [--rounds 1]

For each fault the run must say within 30 seconds which rank it was, no process of it may be left,
and the newest checkpoint must be whole. Then two copies of it go on from there with one rank less,
and must be the same to the bit. Each fault comes at a random moment after the first checkpoint.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cptstudio import child_guard
from cptstudio.machines import rank_keeper
from cptstudio.run_files import checkpoints_of, read_manifest, read_result, verify_checkpoint
from cptstudio.runs.launching import RANKS_MODULE, TRAINER_MODULE
from tests.training.small_workspace import make_workspace, prepare
from tests.training.test_exact_resume import assert_same_run

KEEPER = rank_keeper.__name__
LAUNCH = "cptstudio.training.mlx_launch"
SECONDS = 30.0


@dataclass
class Group:
    """The processes of a run."""

    launcher: subprocess.Popen[bytes]

    def below(self) -> list[psutil.Process]:
        """All that the launcher has started, and what these have."""
        return psutil.Process(self.launcher.pid).children(recursive=True)


def trainers(group: Group) -> list[psutil.Process]:
    """The training programs, rank by rank as they come."""
    found = [
        one
        for one in group.below()
        if TRAINER_MODULE in one.cmdline()
        and child_guard.__name__ in one.cmdline()
        and KEEPER not in one.cmdline()
    ]
    # Their guards are forks of them.
    return [one for one in found if one.ppid() not in {other.pid for other in found}]


def keepers(group: Group) -> list[psutil.Process]:
    """The keepers of the ranks."""
    return [one for one in group.below() if KEEPER in one.cmdline() and LAUNCH not in one.cmdline()]


def launches(group: Group) -> list[psutil.Process]:
    """`mlx.launch`."""
    return [one for one in group.below() if LAUNCH in one.cmdline()][:1]


def itself(group: Group) -> list[psutil.Process]:
    """The launcher."""
    return [psutil.Process(group.launcher.pid)]


FAULTS: dict[str, tuple[Callable[[Group], list[psutil.Process]], signal.Signals]] = {
    "a trainer killed": (trainers, signal.SIGKILL),
    "a trainer paused": (trainers, signal.SIGSTOP),
    "a keeper killed": (keepers, signal.SIGKILL),
    "a keeper paused": (keepers, signal.SIGSTOP),
    "mlx.launch killed": (launches, signal.SIGKILL),
    "mlx.launch paused": (launches, signal.SIGSTOP),
    "the launcher killed": (itself, signal.SIGKILL),
}


CUT = "the network cut"
"""Between the ranks alone, as where ssh goes another way: for root on Linux, in a namespace."""
_IN_NAMESPACE = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def launch(
    run: Path, ranks: int, *arguments: str, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start so many ranks of a run.

    Args:
        before: what starts the launcher.
    """
    command = [sys.executable, "-P", "-m", RANKS_MODULE, str(run), "--ranks", str(ranks)]
    with open(run / "launcher.log", "ab") as log:
        return subprocess.Popen([*before, *command, *arguments], stdout=log, stderr=log)


def goes_on(run: Path, ranks: int) -> str:
    """Let copies of a run go on with so many ranks; returns what is wrong, or ""."""
    step = read_manifest(checkpoints_of(run)[-1]).step
    copies = [run.with_name(f"{run.name}-{name}") for name in ("a", "b")]
    for copy in copies:
        shutil.copytree(run, copy, dirs_exist_ok=True)
        if ranks > 1:
            started = launch(copy, ranks, "--resume", "--length", f"{step + 4} steps")
        else:
            command = [sys.executable, "-P", "-m", TRAINER_MODULE, str(copy), "--resume"]
            quiet = subprocess.DEVNULL
            started = subprocess.Popen([*command, "--length", f"{step + 4} steps"], stdout=quiet)
        if started.wait() != 0:
            return f"{copy.name} could not go on"
    try:
        assert_same_run(*copies)
    except AssertionError as error:
        return f"two copies that went on differ: {error}"
    finally:
        for copy in copies:
            shutil.rmtree(copy)
    return ""


def episode(run: Path, ranks: int, fault: str, chance: random.Random) -> str:
    """Let one fault happen; returns what is wrong, or "" and prints what was seen."""
    group = Group(launch(run, ranks, before=_IN_NAMESPACE if fault == CUT else ()))
    while not checkpoints_of(run):
        if group.launcher.poll() is not None:
            return f"it ended before: {(run / 'launcher.log').read_text()[-500:]}"
        time.sleep(0.05)
    time.sleep(chance.random() * 2)
    everything = [*group.below(), *itself(group)]
    began = time.monotonic()
    if fault == CUT:
        inside = ["nsenter", "-t", str(group.launcher.pid), "-n"]
        subprocess.run([*inside, "ip", "link", "set", "lo", "down"], check=True)
    else:
        find, number = FAULTS[fault]
        os.kill(chance.choice(find(group)).pid, number)
    left = everything
    while left and time.monotonic() - began < 2 * SECONDS:
        group.launcher.poll()
        left = [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.05)
    seconds = time.monotonic() - began
    result = read_result(run)
    newest = checkpoints_of(run)[-1]
    verify_checkpoint(newest)
    print(f"{fault}: {seconds:.1f} s; {result.reason if result else 'no result'}", flush=True)
    if left:
        for one in left:
            one.kill()
        return f"{fault}: still there: {[' '.join(one.cmdline()[-4:]) for one in left]}"
    if seconds > SECONDS:
        return f"{fault}: took {seconds:.1f} s"
    if result is None and fault != "the launcher killed":
        return f"{fault}: nothing says how it ended"
    return goes_on(run, ranks - 1)


def main() -> int:
    """Run all faults; the status is 1 where one found something wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[*FAULTS, CUT])
    options = parser.parse_args()
    chance = random.Random(options.seed)
    wrong = []
    cut = [CUT] if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip") else []
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        for number in range(options.rounds):
            for fault in [options.only] if options.only else [*FAULTS, *cut]:
                run = prepare(
                    workspace,
                    f"faults-{number}",
                    length="100000 steps",
                    schedule={"kind": "constant"},
                )
                found = episode(run, options.ranks, fault, chance)
                wrong += [found] if found else []
    print("\n".join(wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
