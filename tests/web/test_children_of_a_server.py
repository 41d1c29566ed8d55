"""A server that is killed takes with it whatever works for it, while it computes.

Master, worker, or both get a kill -9 while real jobs of every kind run, the models in memory write,
and rows and a plan are asked for. Five seconds later nothing of them is left.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.workspace import Workspace
from tests.models.fake_hub import running_hub
from tests.training import trainer_process
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare, small_settings
from tests.web.corpus_sources import write_much_text
from tests.web.hostile_models import growing_tokenizer
from tests.web.server_process import RunningServer, SignedIn, running_server, wait_for

pytestmark = pytest.mark.slow

GONE_SECONDS = 5.0
COMPUTED_SECONDS = 0.15  # A guard takes none.
LAST = "learned@step-00000002"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A toy model with a run, much text, and models whose tokenizers take long."""
    workspace = make_workspace(tmp_path_factory.mktemp("children") / "workspace")
    directory = prepare(workspace, "learned", length="2 steps", checkpoints={"every": "2 steps"})
    status, said = trainer_process.run(directory)
    assert status == 0, said
    write_much_text(workspace.root / "much")
    (workspace.root / "pages").mkdir()
    (workspace.root / "pages" / "large.html").write_text("<p>a page of words</p>\n" * 2_000_000)
    numbers = workspace.root / "sources" / "numbers"
    numbers.mkdir()
    for number in range(300):
        start = 10**6 + number * 1000
        (numbers / f"{number}.txt").write_text(" ".join(map(str, range(start, start + 1000))))
    settings = BuildSettings(exact_dedup=False, near_dedup=False, validation=0.5, test=0.0)
    build_corpus(workspace.corpus("numbers"), [numbers], settings)
    growing_tokenizer(workspace.base_model("endless"), 26)
    growing_tokenizer(workspace.base_model("slow"), 8, "1")
    return workspace


@dataclass
class Client:
    """A signed-in client of a server."""

    server: RunningServer
    session: SignedIn

    def post(self, path: str, body: Any, method: str = "POST") -> Any:
        answer = self.server.api(self.session, method, f"/api/{path}", body)
        assert answer.status < 300, answer.body
        return answer.json

    def upload(self, name: str, text: str) -> str:
        headers = {**self.session.headers, "Origin": self.server.origin}
        headers["Content-Type"] = "application/octet-stream"
        answer = self.server.request("POST", f"/api/uploads?name={name}", text.encode(), headers)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    def without_answer(self, method: str, path: str, body: Any = None) -> None:
        """Ask what is not answered before the server is killed."""

        def ask() -> None:
            with contextlib.suppress(OSError):
                self.server.api(self.session, method, f"/api/{path}", body)

        threading.Thread(target=ask, daemon=True).start()


def build(client: Client) -> None:
    sources = [{"root": "workspace", "path": "much"}]
    client.post("corpora", {"name": "built", "sources": sources})


def read(client: Client) -> None:
    sources = [{"root": "workspace", "path": "pages"}]
    client.post("corpora", {"name": "read", "sources": sources})


def tokenise(client: Client) -> None:
    client.post("corpora", {"name": "numbers", "sources": [], "model": "slow"})


def rows(client: Client) -> None:
    client.without_answer("GET", f"corpora/{DOMAIN}/rows?model=endless")


def plan(client: Client) -> None:
    settings = small_settings(model={"path": "endless"})
    client.without_answer("POST", "plan", {"settings": settings})


def calibrate(client: Client) -> None:
    changes = {"size": 32, "gradient_accumulation_steps": 32}
    client.post("plan/calibrate", {"settings": small_settings(batch=changes)})


def download(client: Client) -> None:
    client.post("models/download", {"id": "studio/tiny"})


def evaluate(client: Client) -> None:
    text = client.upload("long.txt", "import os\nprint(os.sep)\n" * 100_000)
    client.post("evaluation/evaluations", {"models": ["toy", LAST], "texts": [text]})


def merge(client: Client) -> None:
    body = {"run": LAST, "shares": [one / 32 for one in range(32)], "corpora": [DOMAIN, GENERAL]}
    client.post("evaluation/merges", body)


def suite(client: Client) -> None:
    sampling = {"max_tokens": 100_000, "temperature": 5.0, "context_length": 64}
    body = {"prompts": ["def "], "sampling": sampling}
    client.post("evaluation/suites/endless", body, "PUT")
    client.post("evaluation/suites/endless/run", {"models": ["toy"]})


def questions(client: Client) -> None:
    line = json.dumps({"context": "import ", "choices": ["os", "zq"], "answer": 0}) + "\n"
    upload = client.upload("quiz.jsonl", line * 5000)
    client.post("evaluation/questions", {"models": ["toy"], "upload": upload})


def models_in_memory(client: Client) -> None:
    client.post("inference/load", {"references": ["toy"]})

    def loaded() -> Any:
        return client.server.api(client.session, "GET", "/api/inference").json["models"]

    wait_for(loaded, "the model in memory")
    sampling = {"max_tokens": 50_000, "temperature": 5.0, "context_length": 64}
    body = {"labels": ["toy"], "prompts": [{"text": "def "}], "sampling": sampling}
    client.post("inference/complete", body)


KINDS: dict[str, tuple[str, Callable[[Client], None]]] = {
    "corpus": ("corpus.build_program", build),
    "readers": ("corpus.read_program", read),
    "tokenise": ("corpus.build_program", tokenise),
    "rows": ("corpus.sample_program", rows),
    "plan": ("corpus.tokenizer_identity", plan),
    "calibrate": ("training.calibration", calibrate),
    "download": ("models.download", download),
    "evaluate": ("evaluation.evaluate", evaluate),
    "merge": ("evaluation.merge", merge),
    "suite": ("evaluation.suite_program", suite),
    "questions": ("evaluation.question_program", questions),
    "models in memory": ("evaluation.worker", models_in_memory),
}


@pytest.fixture(scope="module")
def hub() -> Iterator[None]:
    """A hub that stops in the middle of a file, to which the servers' environment points."""
    with running_hub() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", running.address)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_TOKEN_PATH", "/nonexistent/token")
        patch.setenv("NO_PROXY", "127.0.0.1")
        files = {"config.json": b"{}", "model.safetensors": bytes(20_000_000)}
        running.add("studio/tiny", files)
        running.faults.hold = threading.Event()
        yield
        running.faults.hold.set()


def children(server: RunningServer) -> list[psutil.Process]:
    """The programs that work for a server, their guards, and what they started."""
    found = []
    for worker in server.workers():
        found += worker.children(recursive=True)
    return found


def at_work(family: list[psutil.Process], modules: list[str]) -> bool:
    """Whether there is a program of each module, and all have computed for a while."""
    ready = []
    for process in family:
        try:
            words = process.cmdline()
            times = process.cpu_times()
        except psutil.Error:
            continue
        if times.user + times.system > COMPUTED_SECONDS:
            ready += [module for module in set(modules) if f"cptstudio.{module}" in words]
    return all(ready.count(module) >= modules.count(module) for module in set(modules))


@pytest.mark.parametrize(
    ("victims", "kinds"),
    [
        ("both", ("corpus", "readers", "tokenise", "plan", "rows")),
        ("master", ("calibrate", "download", "models in memory")),
        ("worker", ("evaluate", "merge")),
        ("both", ("suite", "questions")),
    ],
)
def test_a_killed_server_takes_everything_with_it(
    workspace: Workspace, hub: None, victims: str, kinds: tuple[str, ...]
) -> None:
    with running_server(workspace.root, "--no-detect") as server:
        client = Client(server, server.sign_in())
        for kind in kinds:
            KINDS[kind][1](client)
        modules = [KINDS[kind][0] for kind in kinds]
        wait_for(lambda: at_work(children(server), modules), f"work on {kinds}")
        family = children(server)
        workers = server.workers()
        if victims != "worker":
            server.process.send_signal(signal.SIGKILL)
        if victims != "master":
            for worker in workers:
                worker.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=GONE_SECONDS)
        assert not alive


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("evaluation.evaluate", ("evaluate", "toy", LAST, "--text", "much.txt")),
        ("evaluation.model_check_program", ("models", "check", "endless")),
        ("corpus.tokenizer_identity", ("plan", "--model", "endless", "--corpus", DOMAIN)),
    ],
)
def test_a_killed_command_takes_its_program_with_it(
    workspace: Workspace, module: str, arguments: tuple[str, ...]
) -> None:
    (workspace.root / "much.txt").write_text("import os\nprint(os.sep)\n" * 100_000)
    terminal = subprocess.Popen(
        [sys.executable, "-m", "cptstudio.cli", *arguments, "-w", str(workspace.root)],
        cwd=workspace.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        own = psutil.Process(terminal.pid)

        def computing() -> bool:
            assert terminal.poll() is None, terminal.stderr and terminal.stderr.read()
            return at_work(own.children(recursive=True), [module])

        wait_for(computing, f"work of {module}")
        family = own.children(recursive=True)
        terminal.kill()
        _, alive = psutil.wait_procs(family, timeout=GONE_SECONDS)
        assert not alive
    finally:
        terminal.kill()
        terminal.communicate()


_BUSY_WORKER = """
import os, re, socket
from cptstudio.web.serve.embedded_gunicorn import Server

def application(environ, start_response):
    print(os.getpid(), os.getppid(), flush=True)
    re.fullmatch("(a+)+", "a" * 60 + "b")

def nothing(*_):
    return False

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
Server(listener, lambda: application, nothing, nothing, nothing, nothing).run()
"""


def test_a_worker_that_computes_inside_c_code_ends_with_its_master() -> None:
    master = subprocess.Popen(
        [sys.executable, "-c", _BUSY_WORKER], stdout=subprocess.PIPE, text=True
    )
    try:
        assert master.stdout is not None
        port = int(master.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            worker, parent = map(int, master.stdout.readline().split())
            assert parent == master.pid
            family = [psutil.Process(worker), *psutil.Process(worker).children()]
            assert len(family) == 2
            master.kill()
            _, alive = psutil.wait_procs(family, timeout=GONE_SECONDS)
            assert not alive
    finally:
        master.kill()
        master.communicate()
