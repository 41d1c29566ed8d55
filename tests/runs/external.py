"""Real processes that train, or look as if they did, for the tests of detection."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cptstudio.runs.external.detection import ExternalProcess, detect
from cptstudio.runs.external.log_parser import LogParser, LogRecord


def parse_log(data: bytes) -> list[LogRecord]:
    """All records of a complete output."""
    parser = LogParser()
    return parser.feed(data) + parser.close()


TRAIN = [
    sys.executable,
    "-m",
    "mlx_lm",
    "lora",
    "--train",
    "--model",
    "toy",
    "--adapter-path",
    "out",
]

_PRINTS_AND_WAITS = """
import sys
print("Starting training..., iters: 20", flush=True)
print("Iter 1: Val loss 3.250, Val took 0.500s", flush=True)
print("ready", file=sys.stderr, flush=True)
sys.stdin.read()
print("Iter 10: Train loss 2.500, It/sec 4.000", flush=True)
"""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds; fail when it does not within a generous time."""
    until = time.monotonic() + seconds
    pause = 0.002
    while not condition():
        assert time.monotonic() < until, f"did not happen within {seconds} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def make_package(folder: Path, package: str = "mlx_lm", module: str = "lora") -> Path:
    """A stand-in for a training package: its program prints two lines and waits.

    It prints a third one when its standard input is closed. Detection sees a real interpreter
    with real arguments, and no test has to wait for a model.
    """
    source = folder / package
    source.mkdir(parents=True, exist_ok=True)
    (source / "__init__.py").touch()
    (source / f"{module}.py").write_text(_PRINTS_AND_WAITS)
    (source / "__main__.py").write_text(f"import {package}.{module}\n")
    return folder


def make_start_script(
    folder: Path, name: str, package: str = "mlx_lm", module: str = "lora"
) -> Path:
    """A start script as pip writes it."""
    script = folder / name
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom {package}.{module} import sys\n")
    script.chmod(0o755)
    return script


@contextmanager
def running(
    command: list[str],
    folder: Path,
    packages: Path | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
    waits_for_ready: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a folder until the block ends; it has said "ready" before it begins."""
    environment = dict(os.environ)
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.PIPE if waits_for_ready else subprocess.DEVNULL,
    )
    try:
        if waits_for_ready:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said == b"ready\n", said
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def found(pid: int) -> ExternalProcess | None:
    return next((one for one in detect().processes if one.identity.pid == pid), None)


def the_found(pid: int) -> ExternalProcess:
    process = found(pid)
    assert process is not None
    return process


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        information = path.lstat()
        digest.update(f"{path} {information.st_mode} {information.st_mtime_ns}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
