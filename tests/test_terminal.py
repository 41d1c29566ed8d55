"""Terminals without letters, and names that would command a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.terminal import visible
from tests.web.server_process import free_port, wait_for

PROGRAM = Path(__file__).parents[1] / "start_web_interface.py"
PLAIN = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "c-locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}
ESCAPE = b"\x1b"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A workspace whose path has letters, an emoji, a command, and a byte that is no text."""
    path = (
        os.fsencode(tmp_path_factory.mktemp("odd")) + "/Größe 日本 💥 \x1b[31m".encode() + b"\xff"
    )
    os.mkdir(path)
    sources = path + b"/sources"
    os.mkdir(sources)
    for name in ("wörter\x1b]0;title\x07.txt", "💥.unknown\x1b[2J", "leer.txt"):
        with open(sources + b"/" + name.encode(), "wb") as file:
            file.write(b"" if name.startswith("leer") else b"Some words, and more of them. " * 50)
    return path


def environment(plain: str) -> dict[bytes, bytes]:
    given = {
        **{key: value for key, value in os.environ.items() if key != "DISPLAY"},
        **PLAIN[plain],
    }
    return {os.fsencode(key): os.fsencode(value) for key, value in given.items()}


COMMANDS = [
    *(["--help"], ["runs", "list"], ["corpus", "list"], ["models", "list"], ["suite", "list"]),
    *(["corpus", "build", "--help"], ["train", "--help"], ["runs", "list", "--json"]),
    *(["plan", "--model", "💥\x1b[31m", "--corpus", "a"], ["plan", "--config", "x\x1b[31mü.yaml"]),
    *(["runs", "show", "\x1b[31m"], ["corpus", "show", "日本"]),
]


@pytest.mark.slow
@pytest.mark.parametrize("plain", PLAIN)
def test_commands_on_a_plain_terminal(odd: bytes, plain: str) -> None:
    """One process for all of them: what is tried is what they print, not how they start."""
    code = (
        "import io, json, sys\n"
        "from cptstudio.cli import main\n"
        "for command in json.loads(sys.argv.pop()):\n"
        "    sys.argv[1:] = command\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert end.code in (0, 1, 2, None), (command, end.code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps(COMMANDS)],
        capture_output=True,
        cwd=odd,
        env=environment(plain),
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0 and b"Traceback" not in said, said.decode("ascii", "replace")
    assert ESCAPE not in said
    assert said.isascii()


@pytest.mark.slow
def test_names_command_no_terminal(odd: bytes) -> None:
    """On a terminal, colours and bars are ours; what names hold is written out."""
    main, other = pty.openpty()
    command = [sys.executable, "-m", "cptstudio.cli", "corpus", "build", "odd", "sources"]
    command += ["--model", "none\x1b[2J"]
    with subprocess.Popen(command, stdout=other, stderr=other, cwd=odd) as process:
        os.close(other)
        said = b""
        while True:
            try:
                part = os.read(main, 65536)
            except OSError:
                break
            if not part:
                break
            said += part
    os.close(main)
    assert process.returncode is not None and b"Traceback" not in said, said
    for raw in (b"\x1b[2J", b"\x1b]0;", b"\x07", b"\x1b[31m\xff"):
        assert raw not in said, said
    assert b"\\x1b[2J" in said


@pytest.mark.slow
@pytest.mark.parametrize("plain", PLAIN)
def test_the_server_on_a_plain_terminal(odd: bytes, plain: str) -> None:
    port = str(free_port())
    command = [sys.executable, str(PROGRAM), "-w", ".", "--no-browser", "--port", port]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=odd, env=environment(plain)
    ) as process:
        assert process.stdout is not None
        lines: list[bytes] = []
        wait_for(
            lambda: (
                lines.append(process.stdout.readline()) or b"Ctrl-C" in lines[-1] or not lines[-1]
            ),
            "the greeting",
        )
        process.terminate()
        lines += process.stdout.readlines()
    said = b"".join(lines)
    assert process.returncode == 0, said
    assert said.count(rb"\x1b[31m\udcff") >= 3, said
    assert b"Traceback" not in said and ESCAPE not in said and said.isascii()


def test_what_is_written_out() -> None:
    assert visible("a\x1b[31mb\r\x07\x7f\x9b") == r"a\x1b[31mb\x0d\x07\x7f\x9b"
    assert visible("\u202eexe.txt\udcff\u2028") == r"\u202eexe.txt\udcff\u2028"
    for plain in ("Größe 日本 💥", "two\nlines\tand a tab", ""):
        assert visible(plain) == plain
