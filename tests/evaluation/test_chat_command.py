"""`cpt-studio chat`: piped and typed, its commands, and Ctrl-C, which ends an answer alone."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.errors import UserError
from tests.chat_models import make_chat_model

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "cptstudio.cli", "chat")
FACTS = re.compile(r"^(.+?) · (\d+) tokens? · \d+\.\d tokens/s$", re.MULTILINE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("chats")
    make_chat_model(root / "models" / "base" / "toy")
    # Its prompt opens a thought, which is folded.
    markup = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    opened = markup + "{% if add_generation_prompt %}<think>{% endif %}"
    make_chat_model(root / "models" / "base" / "thinking", opened)
    return root


def test_a_piped_chat(workspace: Path) -> None:
    saved = workspace / "refused.jsonl"
    lines = (
        "One?",
        "/thinking",
        "/retry",
        "/edit 1 Two?",
        '"""',
        "Three",
        "lines?",
        '"""',
        "/edit 7 x",
        "/nothing",
        "/show",
        f"/save {saved}",
        "/new",
        f"/save {saved}",
        "/quit",
        "never asked",
    )
    arguments = (
        "thinking",
        "-w",
        str(workspace),
        "--max-tokens",
        "6",
        "--system",
        "Be \x1b[1m brief.",
    )
    ended = subprocess.run(
        [*COMMAND, *arguments], input="\n".join(lines), capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    told = ended.stderr
    assert "an answer ends at <|endoftext|> (chat template, config.json" in told.replace("\n", " ")
    assert len(FACTS.findall(told)) == 4, told
    assert all(
        why.startswith(("token limit (6", "end of turn <|endoftext|>"))
        for why, _ in FACTS.findall(told)
    )
    assert told.count("thinking… (/thinking shows it)") == 4
    # Only what /thinking showed, and the tag, which the prompt has, is no part of it.
    assert ended.stdout.strip() and "<think>" not in ended.stdout
    assert "There is no message 7. Choose 1 to 2" in told
    assert "There is no command /nothing." in told
    assert "\x1b" not in told and "Be \\x1b[1m brief." in told
    # Nothing but thinking is no answer, and after /new there is none at all.
    assert "empty answer" in told and "no assistant turn" in told
    assert not saved.exists()


def test_ctrl_c_ends_an_answer_and_ctrl_d_the_chat(workspace: Path) -> None:
    near, far = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "toy", "-w", str(workspace), "--max-tokens", "100000", "--temperature", "0"],
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
        # What a shell starts in the background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(far)
    seen = ""

    def until(words: str) -> None:
        nonlocal seen
        while words not in seen:
            seen += os.read(near, 65536).decode("utf-8", "replace")
        seen = seen[seen.index(words) + len(words) :]

    try:
        until("you> ")
        os.write(near, b"Forever?\n")
        until("Forever?")
        # Some of the answer is there.
        seen = ""
        while len(seen.strip()) < 20:
            seen += os.read(near, 65536).decode("utf-8", "replace")
        os.kill(process.pid, signal.SIGINT)
        until("stopped by you")
        until("you> ")
        os.write(near, b"/show\n")
        until("1, you:")
        until("you> ")
        os.write(near, f"/save {workspace / 'saved.jsonl'}\n".encode())
        until("Appended to")
        until("you> ")
        os.write(near, b"\x04")
        assert process.wait(60) == 0
        (line,) = (workspace / "saved.jsonl").read_text(encoding="utf-8").splitlines()
        kept = Conversation.from_json(line)
        assert [turn.role for turn in kept.messages] == ["user", "assistant"]
        assert kept.messages[0].content == "Forever?" and len(kept.messages[1].content) > 10
    finally:
        process.kill()
        process.wait()
        os.close(near)


def test_a_model_without_a_template_is_told_what_to_use(tmp_path: Path) -> None:
    folder = make_chat_model(tmp_path / "models" / "base" / "raw")
    (folder / "chat_template.jinja").unlink()
    refused = CliRunner().invoke(app, ["chat", "raw", "-w", str(tmp_path)])
    assert isinstance(refused.exception, UserError)
    assert "raw has no chat template" in str(refused.exception)
    assert "`cpt-studio generate`" in str(refused.exception)
