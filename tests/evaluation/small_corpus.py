"""A corpus of many small documents, made of the toys' own text."""

from __future__ import annotations

from pathlib import Path

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from tests.toy_models import text_sample


def build_words(
    root: Path, model: Path, validation: float, documents: int = 60, words: int = 60
) -> None:
    """The corpus "words" of a workspace folder, tokenised for a model."""
    source = root / "source"
    source.mkdir()
    sample = " ".join(text_sample()).split()
    for number in range(documents):
        part = " ".join(sample[number * words : number * words + words])
        (source / f"{number:03d}.txt").write_text(part, encoding="utf-8")
    settings = BuildSettings(validation=validation, near_dedup=False)
    build_corpus(root / "corpora" / "words", [source], settings, model)
