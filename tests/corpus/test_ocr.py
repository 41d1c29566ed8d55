"""Pages that are pictures, read by text recognition: tesseract itself where it is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.scans import scanned
from cptstudio.child_limits import GIB, Limits
from cptstudio.corpus import ocr, reader_versions
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.ocr import Recognizer
from cptstudio.corpus.ocr_program import by_vision, lines_of_hocr, turned
from cptstudio.corpus.preview import preview_file
from cptstudio.errors import UserError

CASES = Path(__file__).parent / "cases"
ENGINE = ocr.find_engine()
needs_engine = pytest.mark.skipif(
    ENGINE is None or "eng" not in ENGINE.languages,
    reason="needs tesseract with English: apt install tesseract-ocr",
)
SCANS = BuildSettings(ocr=True, near_dedup=False, validation=0, test=0)


def text_of(corpus: Corpus) -> str:
    store = corpus.documents
    try:
        return "\n\n".join(store.text(number) for number in range(len(store)))
    finally:
        store.close()


@pytest.fixture
def known_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that is called tesseract and that a test writes; the first one found."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def forget() -> None:
        ocr.engine_of_process.cache_clear()
        reader_versions._versions.cache_clear()

    forget()
    yield folder / "tesseract"
    forget()


def write_engine(path: Path, recognize: str) -> None:
    """Write a program that says it is tesseract and does something else with a picture."""
    path.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '--version) echo "tesseract 99.1" ;;\n'
        '--list-langs) echo "List of available languages (1):"; echo eng ;;\n'
        f"*) {recognize} ;;\n"
        "esac\n"
    )
    path.chmod(0o755)


@needs_engine
@pytest.mark.slow
def test_pages_that_are_pictures_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "scan.pdf"
    source.write_bytes(scanned(CASES / "40-pdf-book.pdf", 2))
    plain = tmp_path / "plain.txt"
    plain.write_text("A plain text beside it.")
    left = build_corpus(tmp_path / "c", [source, plain], SCANS.model_copy(update={"ocr": False}))
    assert (left.corpus.manifest.report.pictures, left.corpus.manifest.report.recognized) == (2, 0)
    read = build_corpus(tmp_path / "c", [source, plain], SCANS)
    report = read.corpus.manifest.report
    assert (report.pictures, report.recognized) == (0, 2)
    text = text_of(read.corpus)
    assert "the downloading of measurements, their transmission, and the state of a well" in text
    assert "Handbook" not in text
    assert ENGINE is not None
    [record] = [one for one in read.corpus.sources() if one.label == "scan.pdf"]
    assert (record.recognized, record.notes) == (2, [])
    assert report.recognized_by == f"{ENGINE.version}: eng"
    # What the engine is decides whether a reading holds.
    assert not build_corpus(tmp_path / "c", [source, plain], SCANS).changed


@needs_engine
@pytest.mark.slow
def test_a_page_laid_down_on_its_side_is_turned(tmp_path: Path) -> None:
    source = tmp_path / "side.pdf"
    source.write_bytes(scanned(CASES / "40-pdf-book.pdf", 1, turn=90))
    found = preview_file(source, SCANS)
    text = "".join(piece.text for piece in found.pieces)
    assert "Nobody has to touch it, and a well-known test shows every month" in text


def test_another_engine_makes_files_be_read_again(known_engine: Path) -> None:
    write_engine(known_engine, "exit 1")
    plain = SCANS.model_copy(update={"ocr": False})
    before = reader_versions.reader_versions(plain)
    one = reader_versions.reader_versions(SCANS)
    known_engine.write_text(known_engine.read_text().replace("99.1", "99.2"))
    ocr.engine_of_process.cache_clear()
    reader_versions._versions.cache_clear()
    assert reader_versions.reader_versions(plain) == before != one
    assert reader_versions.reader_versions(SCANS) != one


def test_what_no_engine_can_do_is_refused_before_anything_is_read(
    tmp_path: Path, known_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_engine(known_engine, "exit 1")
    source = tmp_path / "a.txt"
    source.write_text("text")
    settings = BuildSettings(ocr=True, ocr_language=("eng+xyz, deu",))
    assert settings.ocr_language == ("eng", "xyz", "deu")
    with pytest.raises(
        UserError, match=r"99.1 cannot read xyz, deu\. Installed languages: eng"
    ) as refused:
        build_corpus(tmp_path / "c", [source], settings)
    assert refused.value.findings[0].field == "ocr_language"
    monkeypatch.setenv("PATH", str(tmp_path))
    ocr.engine_of_process.cache_clear()
    with pytest.raises(UserError, match=r"OCR\) is not installed") as refused:
        build_corpus(tmp_path / "c", [source], SCANS)
    assert refused.value.findings[0].field == "ocr"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recognize", "told"),
    [
        (
            "kill -SEGV $$",
            "OCR failed on page 1: tesseract: It crashed: it accessed invalid memory",
        ),
        ("echo 'no such font' >&2; exit 1", "OCR failed on page 1: tesseract failed: no such font"),
        (
            "while :; do :; done",
            "Text recognition stopped. It did not answer within 1 s, so it was ended",
        ),
    ],
)
def test_an_engine_that_fails_costs_its_page_only(
    tmp_path: Path, known_engine: Path, monkeypatch: pytest.MonkeyPatch, recognize: str, told: str
) -> None:
    pid = tmp_path / "pid"
    write_engine(known_engine, f"echo $$ > {pid}; {recognize}")
    monkeypatch.setattr(ocr, "for_recognition", lambda: Limits(1.0, GIB, "", ""))
    source = tmp_path / "scan.pdf"
    source.write_bytes(scanned(CASES / "40-pdf-book.pdf", 1, dpi=30))
    with pytest.raises(UserError) as refused:
        preview_file(source, SCANS)
    assert "OCR failed on page 1: " in _words(refused.value)
    assert told in _words(refused.value)
    assert "1 of 1 pages are images" in _words(refused.value)
    _await_end(int(pid.read_text()))


@pytest.mark.slow
def test_an_engine_ends_with_whoever_reads(tmp_path: Path, known_engine: Path) -> None:
    pid = tmp_path / "pid"
    write_engine(known_engine, f"echo $$ > {pid}; while :; do :; done")
    program = (
        "from cptstudio.corpus.ocr import Recognizer\n"
        "Recognizer(['eng']).read(b'P5 1 1 255\\n\\0', 'page 1')\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", program])
    while not pid.exists() or not pid.read_text().strip():
        assert reader.poll() is None
        time.sleep(0.01)
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    _await_end(int(pid.read_text()))


def _words(error: UserError) -> str:
    return " ".join([error.message, *error.problems])


def _await_end(pid: int) -> None:
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def test_lines_of_hocr_have_their_baseline_and_size() -> None:
    words = (
        "<span class='ocrx_word' title='bbox 10 20 40 30; x_wconf 96'>One <em>two</em></span>"
        "<span class='ocrx_word' title='bbox 50 21 90 31; x_wconf 12'> </span>"
    )
    line = "bbox 10 20 90 32; baseline 0.05 -4; x_size 12.5; x_descenders 3"
    page = f"<html><span class='ocr_line' title=\"{line}\">{words}</span></html>"
    assert lines_of_hocr(page.encode()) == [
        {
            "words": [["One two", 10, 20, 40, 30, 96]],
            "base": 32 - 4 + 0.05 * 40,
            "size": 12.5,
            "slope": 0.05,
            "turned": 0,
        }
    ]
    assert lines_of_hocr(b"") == lines_of_hocr(b"<html/>") == []


def test_pictures_are_turned_clockwise() -> None:
    assert turned(b"P5 2 1 255\nab", 90) == b"P5 1 2 255\nab"
    assert turned(b"P5 2 1 255\nab", 270) == b"P5 1 2 255\nba"


def test_lines_of_vision_become_words_with_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Answers:
        """As ocrmac 1.0.1 answers: text, how sure, and a box in parts of the picture."""

        def __init__(self, image: object, language_preference: list[str]) -> None:
            asked.append(language_preference)

        def recognize(self) -> list[tuple[str, float, list[float]]]:
            return [("ab cde", 0.5, [0.1, 0.8, 0.6, 0.1]), (" ", 1.0, [0.0, 0.0, 0.1, 0.1])]

    ocrmac, pillow = types.ModuleType("ocrmac.ocrmac"), types.ModuleType("PIL.Image")
    ocrmac.OCR = Answers  # type: ignore[attr-defined]
    pillow.open = lambda file: types.SimpleNamespace(size=(100, 200))  # type: ignore[attr-defined]
    for name, module in (("ocrmac", ocrmac), ("ocrmac.ocrmac", ocrmac), ("PIL.Image", pillow)):
        monkeypatch.setitem(sys.modules, name, module)
    [line] = by_vision(b"P5 ...", ["eng", "deu"])
    assert asked == [["en-US", "de-DE"]]
    assert [(word[0], word[1], word[3]) for word in line["words"]] == [
        ("ab", pytest.approx(10), pytest.approx(30)),
        ("cde", pytest.approx(40), pytest.approx(70)),
    ]
    assert line["words"][0][5] == 50
    assert (line["size"], line["base"]) == (pytest.approx(20), pytest.approx(36))


def test_a_preview_recognizes_few_pages(known_engine: Path) -> None:
    write_engine(known_engine, "exit 0")
    recognizer = Recognizer([], most=1)
    assert recognizer.read(b"P5 1 1 255\n\0", "page 1") == ([], 0)
    assert recognizer.exhausted
    recognizer.close()
