"""`cpt-studio models check`: a model's loading is held against transformers, and told in words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation.model_check_program import TOKENS, check
from cptstudio.job_programs import Answer
from tests.shared_architectures import save_shared_architecture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture
def answer() -> Answer:
    return Answer(os.open(os.devnull, os.O_WRONLY))


def test_a_model_of_transformers_is_equal(tmp_path: Path, answer: Answer) -> None:
    save_shared_architecture("llama", tmp_path)
    result = check(tmp_path, answer)
    assert result["tokens"] == TOKENS and result["equal"] and result["largest"] < 1e-3
    assert result["verdict"].startswith("Equal: ")


def test_another_activation_is_nearly_equal(tmp_path: Path, answer: Answer) -> None:
    save_shared_architecture("gemma", tmp_path)
    result = check(tmp_path, answer)
    assert not result["equal"] and result["verdict"].startswith("Nearly equal: ")


def test_a_sliding_window_that_mlx_lm_does_not_have_is_found(
    tmp_path: Path, answer: Answer
) -> None:
    save_shared_architecture("gemma2", tmp_path)
    file = tmp_path / "config.json"
    file.write_text(
        file.read_text().replace('"sliding_window": 512', '"sliding_window": 40'), encoding="utf-8"
    )
    result = check(tmp_path, answer)
    assert not result["equal"] and result["largest"] > 0.1
    assert result["verdict"].startswith("Different: ") and "do not train" in result["verdict"]


def test_without_pytorch_it_says_how_to_get_it(
    tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="pip install torch"):
        check(tmp_path, answer)
