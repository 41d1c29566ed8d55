"""A model folder with a real tokenizer, for all tests of the corpus."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.tokenizers_for_tests import llama3, save_model_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model_folder(tmp_path_factory.mktemp("model"), llama3())
