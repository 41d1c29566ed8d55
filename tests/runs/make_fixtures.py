"""Make the parser fixtures by running the real programs: `python -m tests.runs.make_fixtures`.

Three generations of mlx-lm (0.10 and 0.31 print lines, 0.32 a table), mlx-lm-lora and ForgeLLM's
metrics logger are installed from PyPI into throwaway environments and run on a toy model and toy
documents. What they print lies unchanged in fixtures/, but for the places of the machine. A
manifest says which command of which version printed each file.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.toy_models import make_toy_model, text_sample

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = {
    "first-lines": "mlx-lm==0.10.0",
    "lines": "mlx-lm==0.31.3",
    "table": "mlx-lm==0.32.2",
    "mlx-lm-lora": "mlx-lm-lora==5.10.2",
}
OLDER = {"first-lines": ["transformers==4.57.6"]}
FORGELLM = "forgellm==0.4.7"
MLX = "mlx[cpu]==0.32.4" if sys.platform == "linux" else "mlx==0.32.4"
ITERATIONS = 12

# mlx-lm-lora sets Metal's wired memory limit without asking whether there is Metal.
_ON_A_CPU = (
    "import runpy, sys; import mlx.core as mx; "
    "mx.set_wired_limit = lambda limit: 0; info = mx.device_info(); "
    "mx.device_info = mx.metal.device_info = "
    "lambda: {**info, 'max_recommended_working_set_size': 1 << 32}; "
    "sys.argv[0] = 'mlx_lm_lora.train'; "
    "runpy.run_module('mlx_lm_lora.train', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True)
class Workplace:
    """Folder with `model/`, `data/`, `bad-data/`, and the environments by generation."""

    folder: Path
    environments: dict[str, Path]

    def python(self, generation: str) -> str:
        return str(self.environments[generation] / "bin" / "python")

    def without_paths(self, output: bytes) -> bytes:
        """The output with the places of this machine replaced."""
        prefixes = {str(path): "/environment" for path in self.environments.values()}
        prefixes[str(self.folder)] = "/training"
        prefixes[str(Path(os.__file__).parent)] = "/python/lib"
        prefixes[str(Path.home())] = "/home/user"
        for prefix, name in sorted(prefixes.items(), key=lambda item: -len(item[0])):
            output = output.replace(prefix.encode(), name.encode())
        return output


def make_environment(folder: Path, requirements: Sequence[str]) -> Path:
    """A virtual environment with these requirements; one that is complete is kept."""
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, symlinks=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *requirements]
        subprocess.run(command, check=True)
        (folder / "complete").touch()
    return folder


def make_data(folder: Path, documents: Sequence[str]) -> None:
    """train, valid and test sides of short documents, as mlx-lm reads them."""
    folder.mkdir()
    paragraphs = [part for text in documents for part in text.split("\n\n") if len(part) > 80]
    for side, count in (("train", 60), ("valid", 16), ("test", 16)):
        chosen, paragraphs = paragraphs[:count], paragraphs[count:]
        lines = [json.dumps({"text": text[:300]}) for text in chosen]
        (folder / f"{side}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_workplace(folder: Path, environments: Path) -> Workplace:
    """Install what is missing and write the toy model and documents."""
    make_toy_model("llama-tied", folder / "model")
    make_toy_model("llama", folder / "untied")
    for model in ("model", "untied"):
        # The name that transformers 4 knows, too.
        settings = folder / model / "tokenizer_config.json"
        text = settings.read_text("utf-8")
        settings.write_text(text.replace("TokenizersBackend", "PreTrainedTokenizerFast"), "utf-8")
    make_data(folder / "data", text_sample())
    (folder / "bad-data").mkdir()
    for side in ("train", "valid", "test"):
        (folder / "bad-data" / f"{side}.jsonl").write_text('{"text": "unfinished\n', "utf-8")
    made = {
        name: make_environment(environments / name, [requirement, MLX, *OLDER.get(name, ())])
        for name, requirement in VERSIONS.items()
    }
    return Workplace(folder, made)


def arguments_of(adapters: str, data: str = "data", **changes: str) -> list[str]:
    """Arguments of a short LoRA run with validation, saves and reports."""
    options = {
        "model": "model",
        "data": data,
        "adapter-path": adapters,
        "iters": str(ITERATIONS),
        "steps-per-report": "2",
        "steps-per-eval": "4",
        "save-every": "5",
        "val-batches": "2",
        "batch-size": "2",
        "num-layers": "2",
        "max-seq-length": "64",
        "learning-rate": "1e-3",
    } | changes
    return ["--train", *(part for k, v in options.items() for part in (f"--{k}", v))]


def environment(columns: int | None) -> dict[str, str]:
    """Of the child: no colours of our own terminal, no progress bars of the hub."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    if columns:
        kept["TERM"] = "xterm-256color"
    return kept | {"LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}


def run_into_file(command: list[str], folder: Path) -> bytes:
    """Both streams into one file, as with `> train.log 2>&1`."""
    with tempfile.TemporaryFile() as file:
        subprocess.run(command, cwd=folder, env=environment(None), stdout=file, stderr=file)
        file.seek(0)
        return file.read()


def run_into_pipe(command: list[str], folder: Path) -> bytes:
    """Standard output alone, through a pipe."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(None),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout


def run_in_terminal(command: list[str], folder: Path, columns: int = 100) -> bytes:
    """Everything that a terminal of this width would get."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    child = subprocess.Popen(
        command, cwd=folder, env=environment(columns), stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    output = bytearray()
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux: the other side was closed
            break
        if not piece:
            break
        output += piece
    child.wait()
    os.close(main)
    return bytes(output)


def run_mlx_lm(workplace: Workplace, manifest: dict[str, str]) -> None:
    """The fixtures of both generations of mlx-lm."""
    ways: dict[str, Callable[[list[str], Path], bytes]] = {
        "file": run_into_file,
        "pipe": run_into_pipe,
        "terminal": run_in_terminal,
    }
    for generation in ("lines", "table"):
        start = [workplace.python(generation), "-m", "mlx_lm", "lora"]
        cases = {way: [*arguments_of("adapters"), "--test"] for way in ways}
        cases["traceback-file"] = arguments_of("adapters", data="bad-data")
        cases["traceback-terminal"] = arguments_of("adapters", data="missing")
        # A rate this large makes the loss overflow within a few updates.
        cases["nonfinite-file"] = arguments_of("adapters", **{"learning-rate": "1e30"})
        for case, arguments in cases.items():
            way = ways[case.rpartition("-")[2]]
            output = way(start + arguments, workplace.folder)
            name = f"mlx-lm-{generation}-{case}.log"
            (FIXTURES / name).write_bytes(workplace.without_paths(output))
            manifest[name] = f"{VERSIONS[generation]}: mlx_lm lora {' '.join(arguments)}"


def run_first_mlx_lm(workplace: Workplace, manifest: dict[str, str]) -> None:
    """An early mlx-lm: other words at the end, and an error message of several lines.

    It does not know tied embeddings, so the tied model lacks a weight for it.
    """
    start = [workplace.python("first-lines"), "-m", "mlx_lm.lora"]
    for case, model in {"file": "untied", "traceback-file": "model"}.items():
        arguments = arguments_of("adapters", model=model)
        arguments[arguments.index("--num-layers")] = "--lora-layers"
        output = run_into_file(start + arguments, workplace.folder)
        name = f"mlx-lm-first-lines-{case}.log"
        (FIXTURES / name).write_bytes(workplace.without_paths(output))
        manifest[name] = f"{VERSIONS['first-lines']}: mlx_lm.lora {' '.join(arguments)}"


def run_mlx_lm_lora(workplace: Workplace, manifest: dict[str, str]) -> None:
    """mlx-lm-lora into a file and a terminal."""
    start = [workplace.python("mlx-lm-lora"), "-c", _ON_A_CPU]
    arguments = [*arguments_of("adapters"), "--train-mode", "sft", "--train-type", "lora"]
    for case, way in {"file": run_into_file, "terminal": run_in_terminal}.items():
        output = way(start + arguments, workplace.folder)
        name = f"mlx-lm-lora-{case}.log"
        (FIXTURES / name).write_bytes(workplace.without_paths(output))
        manifest[name] = f"{VERSIONS['mlx-lm-lora']}: mlx_lm_lora.train {' '.join(arguments)}"


_LOG_LIKE_FORGELLM = """
import importlib.util, sys
specification = importlib.util.spec_from_file_location("metrics_logger", sys.argv[1])
module = importlib.util.module_from_spec(specification)
sys.modules["metrics_logger"] = module
specification.loader.exec_module(module)
logger = module.create_training_logger(
    "CPT", "toy-cpt", {"batch_size": 2}, sys.argv[2], "model", sys.argv[2], "mlx_lm lora --train"
)
for line in sys.stdin:
    logger.parse_and_log_line(line)
if sys.argv[3] == "ended":
    logger.finalize_session()
"""


def run_forgellm(workplace: Workplace, manifest: dict[str, str]) -> None:
    """ForgeLLM's own logger on what mlx-lm 0.31 printed: once to the end, once interrupted.

    Only this module of the package is run: it needs nothing but the standard library.
    """
    target = workplace.folder / "forgellm"
    download = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
    subprocess.run([*download, FORGELLM], check=True)
    module = target / "forgellm" / "training" / "metrics_logger.py"
    printed = (FIXTURES / "mlx-lm-lines-pipe.log").read_text("utf-8")
    for case in ("ended", "interrupted"):
        output = workplace.folder / f"forgellm-{case}"
        subprocess.run(
            [sys.executable, "-c", _LOG_LIKE_FORGELLM, str(module), str(output), case],
            input=printed,
            text=True,
            check=True,
        )
        (written,) = output.glob("CPT_*.json")
        name = f"CPT_{case}.json"
        (FIXTURES / name).write_bytes(workplace.without_paths(written.read_bytes()))
        manifest[name] = f"{FORGELLM}: its metrics logger, reading mlx-lm-lines-pipe.log"


def main() -> int:
    """Make all fixtures anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--environments", type=Path, help="keep the environments in this folder")
    chosen = parser.parse_args().environments
    FIXTURES.mkdir(exist_ok=True)
    manifest: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="fixtures-") as temporary:
        folder = Path(temporary).resolve() / "workplace"
        folder.mkdir()
        environments = (chosen or folder.parent / "environments").resolve()
        workplace = make_workplace(folder, environments)
        run_first_mlx_lm(workplace, manifest)
        run_mlx_lm(workplace, manifest)
        run_mlx_lm_lora(workplace, manifest)
        run_forgellm(workplace, manifest)
    manifest = {name: re.sub(r"\s+", " ", text) for name, text in sorted(manifest.items())}
    (FIXTURES / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
