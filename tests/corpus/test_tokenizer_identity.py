"""The tokenizer of a folder is told without loading what tokenises, and never from memory alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cptstudio import child_limits
from cptstudio.corpus import tokenizer_identity
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.errors import UserError
from tests.corpus.tokenizers_for_tests import gpt2, llama3, save_model_folder
from tests.web.hostile_models import growing_tokenizer, our_children
from tests.web.server_process import PATIENCE, wait_for

ASK = """
import json, sys
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.errors import UserError
answers = []
for folder in sys.argv[1:]:
    try:
        answers.append(identify_tokenizer(folder))
    except UserError as error:
        answers.append("Error: " + error.message)
loaded = [name for name in ("transformers", "tokenizers", "torch") if name in sys.modules]
print(json.dumps([answers, loaded]))
"""


def asked_apart(*folders: Path) -> tuple[list[str], list[str]]:
    """The answers of a process that has loaded nothing, and what it has loaded in the end."""
    completed = subprocess.run(
        [sys.executable, "-c", ASK, *map(str, folders)], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    answers, loaded = json.loads(completed.stdout)
    return answers, loaded


@pytest.mark.slow
def test_a_process_that_asks_loads_nothing(tmp_path: Path) -> None:
    folder = save_model_folder(tmp_path / "model", llama3())
    empty = tmp_path / "empty"
    empty.mkdir()
    (found, again, error), loaded = asked_apart(folder, folder, empty)
    assert found == again == load_tokenizer(folder).facts.hash
    assert error.startswith(f"Error: {empty} has no tokenizer")
    assert loaded == []


def test_a_changed_tokenizer_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model_folder(tmp_path / "model", llama3())
    load_tokenizer(folder)  # With its libraries here, no other process is asked.
    first = identify_tokenizer(folder)
    reads = []

    def count(path: Path) -> object:
        reads.append(path)
        return load_tokenizer(path)

    monkeypatch.setattr(tokenizer_identity, "load_tokenizer", count)
    (folder / "model.safetensors").write_bytes(b"weights")
    assert identify_tokenizer(folder) == first and not reads
    shutil.rmtree(folder)
    save_model_folder(folder, gpt2())
    second = identify_tokenizer(folder)
    assert second == load_tokenizer(folder).facts.hash != first
    assert reads == [folder]


def test_a_folder_that_is_mended_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(UserError, match="does not exist"):
        identify_tokenizer(folder)
    save_model_folder(folder, llama3())
    right = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_text("{")
    for _ in range(2):
        with pytest.raises(UserError, match="has no tokenizer"):
            identify_tokenizer(folder)
    (folder / "tokenizer.json").write_bytes(right)
    assert identify_tokenizer(folder) == load_tokenizer(folder).facts.hash


@pytest.mark.slow
def test_a_program_that_dies_is_a_sentence_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model_folder(tmp_path / "model", llama3())
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    with monkeypatch.context() as patch:
        # A program that ends without an answer, as one does that the system kills.
        patch.setattr(tokenizer_identity, "MODULE", "cptstudio.errors")
        with pytest.raises(UserError, match="ended early"):
            identify_tokenizer(folder)
    assert identify_tokenizer(folder) == load_tokenizer(folder).facts.hash


@pytest.mark.slow
def test_a_folder_that_hangs_holds_up_no_other_and_is_not_asked_at_every_keystroke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = growing_tokenizer(tmp_path / "hanging", 29)
    other = save_model_folder(tmp_path / "other", llama3())
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    monkeypatch.setattr(child_limits, "QUICK_SECONDS", PATIENCE)
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(identify_tokenizer, hanging) for _ in range(16)]
        # More than a few do not wait, since each would hold a thread of the server.
        wait_for(lambda: sum(one.done() for one in asked) >= 7, "those that do not wait")
        refused = [one for one in asked if one.done()]
        assert all("is still being read" in str(one.exception()) for one in refused)
        assert identify_tokenizer(other)
        waited = [one for one in asked if not one.done()]
        assert len(waited) == 9
        for child in our_children():
            child.kill()
        for one in waited:
            assert "It was ended from outside" in str(one.exception())
    # Its libraries alone take longer to load.
    monkeypatch.setattr(child_limits, "QUICK_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"It did not answer within < 1 s"):
        identify_tokenizer(hanging)
    monkeypatch.setattr(child_limits, "QUICK_SECONDS", PATIENCE)
    monkeypatch.setattr(tokenizer_identity, "MODULE", "cptstudio.no_such_program")
    with pytest.raises(UserError, match=r"It did not answer within < 1 s"):
        identify_tokenizer(hanging)
    with pytest.raises(UserError, match="no_such_program"):
        identify_tokenizer(hanging, again=True)


@pytest.mark.slow
def test_a_tokenizer_that_takes_all_memory_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = growing_tokenizer(tmp_path / "growing", 34)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    monkeypatch.setattr(child_limits, "QUICK_BYTES", 320_000_000)
    with pytest.raises(
        UserError, match=r"It used \d\.\d GB of memory\. The limit on this machine is 0\.3 GB"
    ):
        identify_tokenizer(folder)
