"""A corpus that another version built opens, whatever bounds its options have today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.validation import checked


def test_a_corpus_opens_with_options_that_a_build_of_today_refuses(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some words", encoding="utf-8")
    build_corpus(tmp_path / "c", [tmp_path / "a.txt"])
    path = tmp_path / "c" / "manifest.json"
    written = json.loads(path.read_text())
    for field in ("", "x" * 5000):
        written["settings"] = {"text_field": field, "validation": 0.9, "of_a_later_version": 1}
        path.write_text(json.dumps(written))
        settings = open_corpus(tmp_path / "c").manifest.settings
        assert (settings.text_field, settings.validation) == (field, 0.9)
        assert settings.near_dedup is True
        # To build it again, the option has to be put right.
        with pytest.raises(UserError):
            checked(BuildSettings, **settings.model_dump())
    written["settings"]["text_field"] = 5
    path.write_text(json.dumps(written))
    with pytest.raises(UserError, match="manifest"):
        open_corpus(tmp_path / "c")
