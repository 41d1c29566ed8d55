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

from cptstudio.lm.saving import save_weights
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import logits, prepare, text_batch, train
from tests.toy_models import text_sample

KINDS = ("full", "lora", "dora", "lora with embeddings", "lora on 4 bits")
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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Offline, with caches of its own; no C++ compiler is called."""
    return os.environ | {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MLX_DISABLE_COMPILE": "1",
    }


def run_mlx_lm(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mlx_lm", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_generate(
    checkpoint: Callable[[str], Checkpoint], environment: dict[str, str], kind: str
) -> None:
    given = checkpoint(kind)
    arguments = ["--prompt", "def main(", "--max-tokens", "8", "--temp", "0"]
    output = run_mlx_lm(
        environment, "generate", *given.arguments, *arguments, "--ignore-chat-template"
    )
    adapter = str(given.adapter) if given.adapter else None
    model, tokenizer = mlx_lm.load(str(given.model), adapter_path=adapter)
    expected = mlx_lm.generate(model, tokenizer, prompt="def main(", max_tokens=8)
    assert expected.strip() and expected.strip() in output
    assert "Generation: 8 tokens" in output


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "dora", "lora on 4 bits"])
def test_fuse(
    checkpoint: Callable[[str], Checkpoint],
    environment: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    given = checkpoint(kind)
    target = tmp_path / "fused"
    run_mlx_lm(environment, "fuse", *given.arguments, "--save-path", str(target), "--dequantize")
    fused, _ = mlx_lm.load(str(target))
    np.testing.assert_allclose(logits(fused, text_batch(given.model)), given.logits, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora with embeddings"])
def test_perplexity(
    checkpoint: Callable[[str], Checkpoint],
    environment: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    given = checkpoint(kind)
    data = tmp_path / "data"
    data.mkdir()
    with (data / "train.jsonl").open("w", encoding="utf-8") as file:
        for text in text_sample():
            file.write(json.dumps({"text": text}) + "\n")
    output = run_mlx_lm(
        environment,
        "perplexity",
        *given.arguments,
        *("--data-path", str(data), "--sequence-length", "64", "--num-samples", "8"),
    )
    measured = re.search(r"Perplexity: ([0-9.]+)", output)
    assert measured is not None
    # Below that of a uniform guess over the vocabulary of 512.
    assert 1 < float(measured[1]) < 512


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_server(
    checkpoint: Callable[[str], Checkpoint],
    environment: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    given = checkpoint(kind)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", *given.arguments, "--port", str(port)]
    log = (tmp_path / "log").open("w+")
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log, text=True) as server:
        try:
            answer = ask(server, port, log.name)
        finally:
            server.terminate()
    log.close()
    adapter = str(given.adapter) if given.adapter else None
    model, tokenizer = mlx_lm.load(str(given.model), adapter_path=adapter)
    expected = mlx_lm.generate(model, tokenizer, prompt="def main(", max_tokens=8)
    assert answer["choices"][0]["text"] == expected
    assert answer["usage"]["completion_tokens"] == 8


def ask(server: subprocess.Popen[str], port: int, log: str) -> dict:
    """The answer of a server that is still starting."""
    body = {"prompt": "def main(", "max_tokens": 8, "temperature": 0.0}
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
