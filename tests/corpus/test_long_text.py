"""Long texts in windows have the tokens of the whole, for every usual kind of tokenizer."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from cptstudio.corpus.long_text import LongTextEncoder
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from tests.corpus.tokenizers_for_tests import KINDS, save_model_folder

STDLIB = Path(sysconfig.get_paths()["stdlib"])


def passages() -> dict[str, str]:
    code = "".join((STDLIB / name).read_text(encoding="utf-8") for name in ("ast.py", "zipfile.py")
                   if (STDLIB / name).exists())  # fmt: skip
    chosen = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789+/"
    return {
        "code": code,
        "code without newlines": code.replace("\n", " "),
        "code with windows of spaces": code.replace("\n", "\n" + " " * 300),
        "scripts": "Grüße aus Köln, Ελλάδα, Москва, 東京、日本。e\u0301 👩‍👩‍👧 " * 800,
        "no spaces": "".join(chosen.choice(letters) for _ in range(40_000)),
        "shorter than a window": "def f():\n    return 1\n",
    }


@pytest.fixture(scope="module", params=sorted(KINDS))
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CorpusTokenizer:
    folder = tmp_path_factory.mktemp(request.param)
    return load_tokenizer(save_model_folder(folder, KINDS[request.param]()))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(passages()))
def test_windows_have_the_tokens_of_the_whole(tokenizer: CorpusTokenizer, name: str) -> None:
    text = passages()[name]
    encoder = LongTextEncoder(tokenizer, window=6_000, overlap=2_000)
    parts = [text[start : start + 777] for start in range(0, len(text), 777)]
    pieces = list(encoder.encode(parts))
    assert np.array_equal(np.concatenate(pieces), tokenizer.encode_batch([text])[0])
    assert encoder.inexact_cuts == 0


def test_the_spelling_of_a_special_token_is_plain_text(model_folder: Path) -> None:
    tokenizer = load_tokenizer(model_folder)
    text = "before <|endoftext|> after"
    tokens = tokenizer.encode_batch([text])[0].tolist()
    assert tokenizer.facts.end not in tokens
    assert tokenizer.decode(tokens) == text
