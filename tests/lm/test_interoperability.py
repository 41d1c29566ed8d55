"""mlx-lm's own programs use checkpoints as they lie: generate, fuse, perplexity, server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlx_lm
import numpy as np
import pytest

from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import logits, prepare, text_batch, train
from tests.saved_weights import save_weights
from tests.toy_models import text_sample

KINDS = ("full", "lora", "dora", "lora with embeddings", "lora on 4 bits")
FUSED = ("lora", "dora", "lora on 4 bits")
MEASURED = ("full", "lora with embeddings")
START_LIMIT = 120


@dataclass(frozen=True)
class Checkpoint:
    """Arguments that name a checkpoint to mlx-lm, and what its network computes."""

    model: Path
    adapter: Path | None
    logits: np.ndarray

    @property
    def arguments(self) -> list[str]:
        adapter = ["--adapter-path", str(self.adapter)] if self.adapter else []
        return ["--model", str(self.model), *adapter]


@pytest.fixture(scope="module")
def checkpoint(
    toy_folder: ToyFolder, quantized_folder: ToyFolder, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Checkpoint]:
    """A trained checkpoint of each kind, made once."""
    made: dict[str, Checkpoint] = {}

    def make(kind: str) -> Checkpoint:
        if kind not in made:
            base = (quantized_folder if kind.endswith("4 bits") else toy_folder)("llama")
            method = kind.split()[0]
            loaded, applied = prepare(
                base, kind=method, train_embeddings=kind.endswith("embeddings")
            )
            batch = text_batch(base)
            train(loaded.model, batch, steps=3)
            folder = tmp_path_factory.mktemp(kind.replace(" ", "-"))
            saved = save_weights(folder, loaded, applied)
            whole = saved.layout == "model"
            made[kind] = Checkpoint(
                model=folder if whole else base,
                adapter=None if whole else folder,
                logits=logits(loaded.model, batch),
            )
        return made[kind]

    return make


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Offline, with caches of its own; no C++ compiler is called."""
    return os.environ | {
        "HF_HOME": str(tmp_path_factory.mktemp("hf")),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MLX_DISABLE_COMPILE": "1",
    }


# `python -m mlx_lm ARGUMENTS`, one after the other in one process, whose start takes longest.
PROGRAMS = """
import contextlib, io, json, runpy, sys, traceback
for arguments in json.load(sys.stdin):
    sys.argv = ["mlx_lm", *arguments]
    written, ended = io.StringIO(), "well"
    with contextlib.redirect_stdout(written):
        try:
            runpy.run_module("mlx_lm", run_name="__main__")
        except (Exception, SystemExit) as error:
            ended = traceback.format_exc() if getattr(error, "code", 1) else ended
    print(json.dumps([ended, written.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def fused_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the fused models of these kinds come to lie."""
    return {kind: tmp_path_factory.mktemp("fused") / "model" for kind in FUSED}


@pytest.fixture(scope="module")
def run_mlx_lm(
    checkpoint: Callable[[str], Checkpoint],
    environment: dict[str, str],
    fused_folders: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], str]:
    """What a program printed about the checkpoint of a kind."""
    data = tmp_path_factory.mktemp("data")
    with (data / "train.jsonl").open("w", encoding="utf-8") as file:
        for text in text_sample():
            file.write(json.dumps({"text": text}) + "\n")
    asked: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS:
        prompt = ["--prompt", "def main(", "--max-tokens", "8", "--temp", "0"]
        asked["generate", kind] = [*prompt, "--ignore-chat-template"]
    for kind, folder in fused_folders.items():
        asked["fuse", kind] = ["--save-path", str(folder), "--dequantize"]
    for kind in MEASURED:
        size = ["--sequence-length", "64", "--num-samples", "8"]
        asked["perplexity", kind] = ["--data-path", str(data), *size]
    commands = [
        [program, *checkpoint(kind).arguments, *more] for (program, kind), more in asked.items()
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS],
        input=json.dumps(commands),
        env=environment,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = dict(zip(asked, map(json.loads, done.stdout.splitlines()), strict=True))

    def output(program: str, kind: str) -> str:
        ended, written = answers[program, kind]
        assert ended == "well", f"{ended}{written}"
        return str(written)

    return output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_generate(
    checkpoint: Callable[[str], Checkpoint], run_mlx_lm: Callable[[str, str], str], kind: str
) -> None:
    output = run_mlx_lm("generate", kind)
    expected = generated(checkpoint(kind))
    assert expected.strip() and expected.strip() in output
    assert "Generation: 8 tokens" in output


def generated(given: Checkpoint) -> str:
    """What mlx-lm makes of the prompt with the checkpoint, in this process."""
    adapter = str(given.adapter) if given.adapter else None
    model, tokenizer = mlx_lm.load(str(given.model), adapter_path=adapter)
    return str(mlx_lm.generate(model, tokenizer, prompt="def main(", max_tokens=8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FUSED)
def test_fuse(
    checkpoint: Callable[[str], Checkpoint],
    run_mlx_lm: Callable[[str, str], str],
    fused_folders: dict[str, Path],
    kind: str,
) -> None:
    run_mlx_lm("fuse", kind)
    given = checkpoint(kind)
    fused, _ = mlx_lm.load(str(fused_folders[kind]))
    np.testing.assert_allclose(logits(fused, text_batch(given.model)), given.logits, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MEASURED)
def test_perplexity(run_mlx_lm: Callable[[str, str], str], kind: str) -> None:
    measured = re.search(r"Perplexity: ([0-9.]+)", run_mlx_lm("perplexity", kind))
    assert measured is not None
    # Below that of a uniform guess over the vocabulary of 512.
    assert 1 < float(measured[1]) < 512


@pytest.mark.slow
def test_server(
    checkpoint: Callable[[str], Checkpoint], environment: dict[str, str], tmp_path: Path
) -> None:
    first = checkpoint(KINDS[0])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", *first.arguments, "--port", str(port)]
    log = (tmp_path / "log").open("w+")
    answers = {}
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True) as server:
        try:
            # The first is served as the server was started; the others are named in the request.
            answers[KINDS[0]] = ask(server, port, log.name)
            for kind in KINDS[1:]:
                given = checkpoint(kind)
                adapter = {"adapters": str(given.adapter)} if given.adapter else {}
                answers[kind] = ask(server, port, log.name, model=str(given.model), **adapter)
        finally:
            server.terminate()
    log.close()
    for kind, answer in answers.items():
        assert answer["choices"][0]["text"] == generated(checkpoint(kind)), kind
        assert answer["usage"]["completion_tokens"] == 8


def ask(server: subprocess.Popen[str], port: int, log: str, **fields: str) -> dict:
    """The answer of a server that is still starting."""
    body = {"prompt": "def main(", "max_tokens": 8, "temperature": 0.0, **fields}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=START_LIMIT) as response:
                return json.load(response)
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        try:
            # Waits a little for the process instead of asking without a pause.
            server.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail("the server ended: " + Path(log).read_text())
