"""Which readers read a corpus: our own, and the libraries that they stand on."""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from functools import cache
from importlib import metadata

from cptstudio.corpus.manifest import READERS, BuildSettings
from cptstudio.corpus.ocr import USUAL, engine_of_process

LIBRARIES = (
    "charset-normalizer",
    "lxml",
    "pyarrow",
    "pypdfium2",
    "selectolax",
    "zstandard",
)
"""Distributions whose versions may decide what a document's text is."""


def reader_versions(settings: BuildSettings) -> str:
    """Return what is different when the same file may give other documents."""
    return _versions(settings.ocr_language if settings.ocr else None)


@cache
def _versions(recognized: tuple[str, ...] | None) -> str:
    known = [f"readers {READERS}", f"python {sys.version_info[:2]}", unicodedata.unidata_version]
    for name in LIBRARIES:
        try:
            known.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            known.append(f"{name} is not there")
    if recognized is not None:
        engine = engine_of_process()
        known.append("no engine" if engine is None else engine.identity(recognized or USUAL))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
