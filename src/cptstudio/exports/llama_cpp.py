"""llama.cpp with a GGUF file loaded: asked for tokens and their log-probabilities.

It is llama.cpp's own server, in a process of its own on a free port of the loopback interface, with
a key that nobody else has: `xllamacpp`'s in the converter's environment, or an installed
`llama-server`. Both speak the same HTTP. It computes on the CPU with a float32 cache, so that the
file is measured and not a backend's shortcuts.

The server tells the log-probability of the token that it chose, by the network's own logits. So
text is scored one token at a time: a bias makes the wanted token the chosen one, and what came
before is in the cache.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import secrets
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cptstudio.child_limits import usable_cores
from cptstudio.errors import UserError
from cptstudio.exports.converter_program import quiet

_SERVE: Final = Path(__file__).parent / "in_converter" / "serve.py"
_START_SECONDS: Final = 600.0
_ANSWER_SECONDS: Final = 600.0
_BIAS: Final = 1e6
_LAST_LINES: Final = 60
COMPUTED: Final = "float32 on the CPU, with a float32 cache"
"""How it computes, for people; products of quantized weights take 8-bit activations."""


class NotLoadedError(UserError):
    """llama.cpp cannot load a file, or does not start."""


@dataclass(frozen=True)
class Choice:
    """A token, and what the network thought of it.

    Attributes:
        log_prob: nats, of `token`.
        best: the most probable token there.
        margin: nats between that one and the next.
    """

    token: int
    log_prob: float
    best: int
    margin: float


@dataclass(frozen=True)
class LlamaCpp:
    """A llama.cpp that can be started.

    Attributes:
        python: of the converter's environment, or None.
        server: path of an installed `llama-server`, which is preferred.
        version: of it, for people.
    """

    python: Path | None
    server: Path | None = None
    version: str = "llama.cpp"

    @contextmanager
    def loaded(self, file: Path, context: int) -> Iterator[LlamaServer]:
        """A server with the file loaded; it ends with the block.

        Args:
            context: tokens that a prompt and its continuation have at most.

        Raises:
            UserError: llama.cpp cannot load the file.
        """
        key = secrets.token_hex(16)
        # Its threads wait for each other by spinning, so a busy machine must have some left.
        threads = max(1, usable_cores() // 2)
        port = _free_port() if self.server is not None else 0
        process = subprocess.Popen(
            self._command(file, context, threads, key, port),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=quiet(),
        )
        words: list[str] = []
        try:
            assert process.stderr is not None
            threading.Thread(target=_keep, args=(process.stderr, words), daemon=True).start()
            if self.server is None:
                port = _announced_port(process, file, words)
            server = LlamaServer(port, key, process, words, file)
            server.wait_until_loaded()
            yield server
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _command(self, file: Path, context: int, threads: int, key: str, port: int) -> list[str]:
        if self.server is None:
            assert self.python is not None
            program = [str(self.python), "-I", str(_SERVE)]
            return [*program, str(file), str(context), str(threads), key]
        options = {
            "--model": file,
            "--ctx-size": context,
            "--parallel": 1,
            "--threads": threads,
            "--poll": 0,
            "--host": "127.0.0.1",
            "--port": port,
            "--api-key": key,
            "--n-gpu-layers": 0,
            "--cache-type-k": "f32",
            "--cache-type-v": "f32",
            "--flash-attn": "off",
        }
        given = [str(word) for pair in options.items() for word in pair]
        return [str(self.server), *given, "--no-warmup", "--no-webui", "--offline"]


class LlamaServer:
    """A running server with one file."""

    def __init__(
        self,
        port: int,
        key: str,
        process: subprocess.Popen[bytes],
        words: list[str],
        file: Path,
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._process = process
        self._words = words
        self._file = file

    def wait_until_loaded(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise NotLoadedError(_why_not_loaded(self._file, self._words))
            try:
                self._connection.request("GET", "/health", headers=self._headers)
                answer = self._connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return
            except OSError:
                self._connection.close()
            if time.monotonic() > deadline:
                raise NotLoadedError(f"llama.cpp did not load {self._file.name} in ten minutes.")
            time.sleep(0.1)

    def tokens_of(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a text.

        Args:
            special: with the start token where the file says so.
        """
        body = {"content": text, "add_special": special, "parse_special": True}
        return [int(one) for one in self._ask("/tokenize", body)["tokens"]]

    def greedy(self, prompt: Sequence[int], count: int) -> tuple[list[Choice], float]:
        """Return the most probable continuation, which no end token ends, and its seconds.

        Args:
            count: of its tokens.
        """
        found: list[Choice] = []
        seconds = 0.0
        while len(found) < count:
            tokens = [*prompt, *(one.token for one in found)]
            choices, took = self._complete(tokens, count - len(found), [])
            if not choices:
                raise UserError(f"llama.cpp wrote nothing after {len(tokens)} tokens.")
            found += choices
            seconds += took
        return found[:count], seconds

    def score(self, tokens: Sequence[int]) -> Iterator[Choice]:
        """Yield what the network thought of each token but the first."""
        for number in range(1, len(tokens)):
            wanted = int(tokens[number])
            choices, _ = self._complete(tokens[:number], 1, [[wanted, _BIAS]])
            if not choices or choices[0].token != wanted:
                raise UserError("llama.cpp did not take the token that it was given.")
            yield choices[0]

    def distribution(self, tokens: Sequence[int], size: int) -> dict[int, float]:
        """Return the log-probability of each token of the vocabulary after these.

        Args:
            size: of the vocabulary.
        """
        body = self._body(tokens, 1, [], top=size)
        top = self._ask("/completion", body)["completion_probabilities"][0]["top_logprobs"]
        return {int(one["id"]): float(one["logprob"]) for one in top}

    def _complete(
        self, tokens: Sequence[int], count: int, bias: list[list[float]]
    ) -> tuple[list[Choice], float]:
        said = self._ask("/completion", self._body(tokens, count, bias, top=2))
        choices = []
        for one in said.get("completion_probabilities", ()):
            first, second = one["top_logprobs"][:2]
            margin = float(first["logprob"]) - float(second["logprob"])
            value = -math.inf if one["logprob"] is None else float(one["logprob"])
            choices.append(Choice(int(one["id"]), value, int(first["id"]), margin))
        return choices, float(said["timings"]["predicted_ms"]) / 1000

    @staticmethod
    def _body(
        tokens: Sequence[int], count: int, bias: list[list[float]], *, top: int
    ) -> dict[str, Any]:
        return {
            "prompt": [int(one) for one in tokens],
            "n_predict": count,
            "logit_bias": bias,
            "n_probs": top,
            "samplers": ["top_k"],
            "top_k": 1,
            "temperature": 0,
            "cache_prompt": True,
        }

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body)
        try:
            status, text = self._posted(path, data)
        except (ConnectionError, http.client.HTTPException):
            # It closes a connection on which nothing was asked for 5 seconds, which a busy machine
            # takes between two questions. Nothing is asked that may not be asked twice.
            self._connection.close()
            try:
                status, text = self._posted(path, data)
            except (OSError, http.client.HTTPException):
                raise self._ended() from None
        except OSError:
            raise self._ended() from None
        if status != 200:
            raise UserError(f"llama.cpp refused {path}: {text[:300].decode('utf-8', 'replace')}")
        return json.loads(text)

    def _posted(self, path: str, data: str) -> tuple[int, bytes]:
        self._connection.request("POST", path, data, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _ended(self) -> UserError:
        if self._process.poll() is None:
            return UserError(f"llama.cpp did not answer about {self._file.name}. Try again.")
        last = self._words[-1] if self._words else ""
        return UserError(f"llama.cpp ended while it worked with {self._file.name}. {last}".strip())


def installed_server(folder: Path | None) -> Path | None:
    """Return the `llama-server` of a folder, or of the PATH; None where there is none."""
    return installed_program("llama-server", folder)


def installed_program(name: str, folder: Path | None) -> Path | None:
    """Return a program of an installed llama.cpp.

    Args:
        folder: where the user says that it is: a folder of programs, or one that they were built
            in; None to look on the PATH.
    """
    if folder is None:
        found = shutil.which(name)
        return Path(found) if found else None
    for place in (folder, folder / "bin", folder / "build" / "bin"):
        found = shutil.which(name, path=str(place))
        if found:
            return Path(found)
    return None


def _announced_port(process: subprocess.Popen[bytes], file: Path, words: list[str]) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    line = process.stdout.readline() if ready else b""
    if not line:
        process.kill()
        process.wait()
        raise NotLoadedError(_why_not_loaded(file, words))
    return int(str(json.loads(line)["address"]).rpartition(":")[2])


def _why_not_loaded(file: Path, words: Sequence[str]) -> str:
    # Its log marks what is worth telling: time, level, and then the words.
    reasons = [word for word in words if re.search(r"\bE\b|error|unknown model", word)]
    reason = next(iter(reasons), words[-1] if words else "it gave no reason")
    return f"llama.cpp cannot load {file.name}: {reason}"


def _keep(stream: IO[bytes], words: list[str]) -> None:
    with stream:
        for line in stream:
            words.append(line.decode("utf-8", "replace").strip()[:500])
            del words[:-_LAST_LINES]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
