"""Whatever a reader raises, wherever, ends its file and not the build; what is ours ends it."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.readers import dispatch, guard
from cptstudio.corpus.readers.items import Item


class Panic(BaseException):
    """As pyo3 raises it for a panic in a Rust library: no `Exception`."""


class BrokenError(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")


ERRORS = [
    KeyError("There is no item named 'x'"),
    struct.error("unpack requires a buffer of 4 bytes"),
    zlib.error("Error -3"),
    RecursionError(),
    MemoryError(),
    NotImplementedError(),
    OSError(5, "Input/output error"),
    StopIteration(),
    UserWarning("as an error"),
    Panic("called `Option::unwrap()` on a `None` value"),
    BrokenError(),
]


def at_opening(error: BaseException) -> Iterator[Iterable[str]]:
    raise error
    yield ()


def in_the_second_document(error: BaseException) -> Iterator[Iterable[str]]:
    yield ("first of the file",)
    raise error


def half_way_in_a_document(error: BaseException) -> Iterator[Iterable[str]]:
    def parts() -> Iterator[str]:
        yield "half of a document"
        raise error

    yield ("first of the file",)
    yield parts()


def on_closing(error: BaseException) -> Iterator[Iterable[str]]:
    try:
        yield ("first of the file",)
    finally:
        raise error


PLACES = [at_opening, in_the_second_document, half_way_in_a_document, on_closing]


def built(tmp_path: Path, names: Iterable[str]) -> tuple[Corpus, set[str]]:
    sources = tmp_path / "s"
    sources.mkdir()
    for name in [*names, "a.txt", "z.txt"]:
        (sources / name).write_text(f"The text of {name}.", encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [sources]).corpus
    documents = corpus.documents
    return corpus, {documents.text(number) for number in range(len(documents))}


@pytest.mark.parametrize("place", PLACES)
def test_any_exception_names_its_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[BaseException], Iterator[Iterable[str]]],
) -> None:
    def reader(item: Item, field: str) -> Iterator[Iterable[str]]:
        number = int(Path(item.label).stem)
        return place(ERRORS[number])

    monkeypatch.setitem(dispatch._READERS, ".bad", reader)
    corpus, texts = built(tmp_path, [f"{number}.bad" for number in range(len(ERRORS))])
    found = {source.label: source for source in corpus.sources()}
    for number in range(len(ERRORS)):
        source = found[f"s/{number}.bad"]
        assert source.skipped, ERRORS[number]
        assert source.documents == (place is not at_opening)
    assert {"The text of a.txt.", "The text of z.txt."} <= texts
    assert "half of a document" not in texts
    assert "attribute" not in str(corpus.manifest.report.problems)
    assert corpus.manifest.report.problem_files == len(ERRORS)


def test_a_file_that_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(item: Item, field: str) -> Iterator[Iterable[str]]:
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue
        yield ()

    monkeypatch.setattr(guard, "file_seconds", lambda size: 0.2)
    monkeypatch.setattr(guard, "_TICK", 0.1)
    monkeypatch.setitem(dispatch._READERS, ".bad", reader)
    corpus, texts = built(tmp_path, ["0.bad"])
    (problem,) = corpus.manifest.report.problems
    assert "0.bad: gave up after" in problem
    assert len(texts) == 2


@pytest.mark.slow
def test_an_interrupt_and_a_full_disk_end_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader(item: Item, field: str) -> Iterator[Iterable[str]]:
        raise KeyboardInterrupt
        yield ()

    monkeypatch.setitem(dispatch._READERS, ".bad", reader)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, ["0.bad"])
    program = (
        "import os, resource, signal, sys, pathlib\n"
        "from cptstudio.corpus.build import build_corpus\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "pathlib.Path('big.txt').write_text(os.urandom(3_000_000).hex())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "build_corpus(pathlib.Path('full'), [pathlib.Path('big.txt')])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "OSError" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "full").exists()
