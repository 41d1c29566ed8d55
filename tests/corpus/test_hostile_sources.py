"""Whatever lies in a source folder, it ends in a named line of the report, not in a crash."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
from pathlib import Path

import pyarrow as arrow
import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.report import render
from cptstudio.errors import UserError

pytestmark = pytest.mark.slow


def build(tmp_path: Path, sources: Path) -> Corpus:
    (sources / "good.txt").write_text("A good document.\n", encoding="utf-8")
    return build_corpus(tmp_path / "corpus", [sources]).corpus


def texts(corpus: Corpus) -> list[str]:
    documents = corpus.documents
    return [documents.text(number) for number in range(len(documents))]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


def problem(corpus: Corpus, label: str) -> str:
    found = [line for line in corpus.manifest.report.problems if line.startswith(f"{label}: ")]
    assert found, corpus.manifest.report.problems
    return " | ".join(found)


def test_each_hostile_file_is_reported_by_name_and_the_rest_is_read(
    tmp_path: Path, sources: Path
) -> None:
    (sources / "binary.bin").write_bytes(bytes(range(256)) * 40)
    (sources / "picture.md").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(4096))
    (sources / "empty.txt").write_bytes(b"")
    (sources / "blank.txt").write_text("\n \n", encoding="utf-8")
    os.symlink(sources, sources / "loop")
    os.symlink("/etc/passwd", sources / "outside.txt")
    os.mkfifo(sources / "pipe.txt")
    with zipfile.ZipFile(sources / "inner.zip", "w") as archive:
        archive.writestr("nested.txt", "deep")
    with zipfile.ZipFile(sources / "outer.zip", "w") as archive:
        archive.write(sources / "inner.zip", "inner.zip")
        archive.writestr("member.txt", "A member of an archive.\n")
    (sources / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(sources / "header.zip", "w") as archive:
        archive.writestr("member.txt", "Not found where it should be.\n")
    whole = (sources / "header.zip").read_bytes()
    (sources / "header.zip").write_bytes(whole.replace(b"PK\3\4", b"PKxx"))
    (sources / "bytes.jsonl").write_bytes(b'{"text": "x\xa0"}\n')
    (sources / "broken.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    (sources / "broken.pdf").write_bytes(b"%PDF-1.7\nnot really")
    (sources / "broken.docx").write_bytes(b"not a zip")
    (sources / "broken.epub").write_bytes(b"not a zip")
    (sources / "broken.parquet").write_bytes(b"PAR1 no")
    (sources / "broken.json").write_text('{"text": ', encoding="utf-8")
    (sources / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (sources / "bytes-name\udcff.txt").write_text("Odd name.\n", encoding="utf-8")
    corpus = build(tmp_path, sources)
    reasons = {
        "binary.bin": "binary",
        "picture.md": "binary",
        "empty.txt": "empty",
        "blank.txt": "no text",
        "loop": "symbolic link",
        "outside.txt": "symbolic link",
        "pipe.txt": "FIFO",
        "outer.zip!inner.zip": "archive inside",
        "broken.zip": "it was cut off",
        "header.zip!member.txt": "a file in it does not start where it should",
        "bytes.jsonl": "bytes that are not UTF-8 (0xa0, byte 12)",
        "broken.gz": "damaged",
        "broken.pdf": "PDF",
        "broken.docx": "unpacked",
        "broken.epub": "unpacked",
        "broken.parquet": "Parquet",
        "broken.json": "JSON",
        "deep.json": "nested too deeply",
    }
    for name, reason in reasons.items():
        assert reason in problem(corpus, f"sources/{name}"), name
    assert {"A good document.\n", "A member of an archive.\n", "deep", "Odd name.\n"} == set(
        texts(corpus)
    )


def test_a_vanished_or_unreadable_file_is_reported(tmp_path: Path, sources: Path) -> None:
    path = sources / "secret.txt"
    path.write_text("secret", encoding="utf-8")
    path.chmod(0)
    if os.access(path, os.R_OK):
        # Root may read everything: a file that is gone when it is read takes its place.
        from cptstudio.corpus.readers.items import Unreadable, items_of
        from cptstudio.corpus.sources import find_sources

        files, _ = find_sources([sources])
        path.unlink()
        item = next(iter(items_of(files[0])))
        with pytest.raises(Unreadable, match="disappeared during the build"):
            item.open()
        return
    assert "Permission denied" in problem(build(tmp_path, sources), "sources/secret.txt")


def test_encodings_are_recognised_and_named(tmp_path: Path, sources: Path) -> None:
    german = "Die Größe der Übung läßt sich schätzen: fünf Äpfel, ölige Füße.\n" * 20
    (sources / "latin.txt").write_bytes(german.encode("cp1252"))
    (sources / "wide.txt").write_bytes(german.encode("utf-16"))
    (sources / "wide-bare.txt").write_bytes(german.encode("utf-16-le"))
    (sources / "mark.txt").write_bytes("Mit Marke\n".encode("utf-8-sig"))
    broken = ("Größe " * 200).encode() + b"\xff" + b" Ende\n"
    (sources / "few.txt").write_bytes(broken)
    corpus = build(tmp_path, sources)
    assert "read as" in problem(corpus, "sources/latin.txt")
    assert "1 bytes are not UTF-8" in problem(corpus, "sources/few.txt")
    found = texts(corpus)
    assert found.count(german) == 3
    assert "Mit Marke\n" in found
    assert any("\ufffd Ende" in text for text in found)


def test_bad_records_are_named_and_good_ones_read(tmp_path: Path, sources: Path) -> None:
    lines = [
        json.dumps({"text": "one"}),
        '{"text": "lone \\ud800 surrogate"}',
        "not json",
        json.dumps({"body": "no text"}),
        json.dumps({"text": 7}),
        "[" * 50_000,
        '{"text": "long", "id": ' + "1" * 5000 + "}",
        '{"text": "last", "score": NaN}',
    ]
    (sources / "records.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (sources / "table.csv").write_text('id,text\n1,"a, b\nc"\n2\n', encoding="utf-8")
    (sources / "other.csv").write_text("id,body\n1,x\n", encoding="utf-8")
    corpus = build(tmp_path, sources)
    report = problem(corpus, "sources/records.jsonl")
    for said in ("surrogates", "line 3: invalid JSON", "line 4: no field", "line 5: field"):
        assert said in report
    assert "nested too deeply" in report
    assert "line 7: invalid JSON: a number has too many digits" in report
    assert "no column 'text'" in problem(corpus, "sources/other.csv")
    assert "line 4 has 1 field, but the header has 2" in problem(corpus, "sources/table.csv")
    assert {"one", "lone \ufffd surrogate", "last", "a, b\nc"} <= set(texts(corpus))


def test_a_decompression_bomb_is_stopped(tmp_path: Path, sources: Path) -> None:
    with gzip.open(sources / "bomb.txt.gz", "wb", compresslevel=9) as file:
        for _ in range(120):
            file.write(b"a" * (1 << 20))
    assert "bomb" in problem(build(tmp_path, sources), "sources/bomb.txt.gz")


def test_what_would_take_hours_or_the_process_is_named(tmp_path: Path, sources: Path) -> None:
    # Members that share their bytes: 40 kB that unpack to gigabytes.
    with zipfile.ZipFile(sources / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.txt", b"a" * 40_000_000)
    fonts = "".join(f"<font color={number}>" for number in range(6_000))
    pages = {
        "deep.html": "<ul><li>" * 60_000 + "deep",
        "fonts.html": f"<p>{fonts}</p>" + "<p>x</p>" * 6_000,
        "long.html": "<div><ul><li>one<li>two</ul></div><p>x<p><b>y</b>" * 20_000,
    }
    for name, page in pages.items():
        (sources / name).write_text(page, encoding="utf-8")
    with (sources / "holes.bin").open("wb") as file:
        file.truncate(1 << 40)
    # The end of the last text lies two gigabytes behind the data.
    table = arrow.table({"text": ["one", "two"]})
    out = io.BytesIO()
    with arrow.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    offsets, wrong = struct.pack("<3i", 0, 3, 6), struct.pack("<3i", 0, 3, 0x7FFFFFFF)
    (sources / "damaged.arrow").write_bytes(out.getvalue().replace(offsets, wrong))
    corpus = build(tmp_path, sources)
    assert "decompression bomb" in problem(corpus, "sources/bomb.zip")
    assert "nested too deeply" in problem(corpus, "sources/deep.html")
    assert "nested too deeply" in problem(corpus, "sources/fonts.html")
    assert "sparse file" in problem(corpus, "sources/holes.bin")
    assert "unreadable Arrow file" in problem(corpus, "sources/damaged.arrow")
    assert corpus.manifest.report.problem_files == 5
    # One long document in sections, of which some are held out.
    assert sum(text.count("one\ntwo") for text in texts(corpus)) == 20_000


def test_names_reach_no_terminal_as_they_are(tmp_path: Path, sources: Path) -> None:
    (sources / "red\x1b[31m.txt").write_text("red", encoding="utf-8")
    (sources / "two\nlines.bin").write_bytes(bytes(100))
    (sources / "fields.json").write_text('{"a\\u001b[2J": 1}', encoding="utf-8")
    with zipfile.ZipFile(sources / "z.zip", "w") as archive:
        archive.writestr("in\x1b[0m.bin", bytes(100))
    corpus = build(tmp_path, sources)
    told = "".join(
        [render(corpus), *(one.label for one in corpus.sources()), *corpus.manifest.report.problems]
    )
    assert "\x1b" not in told
    assert "two\\x0alines.bin" in told and "in\\x1b[0m.bin" in told and "a\\x1b[2J" in told


def test_a_loop_of_links_and_a_closed_folder_are_said(tmp_path: Path, sources: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"/a: (its symbolic|Too many)"):
        build_corpus(tmp_path / "corpus", [tmp_path / "a"])
    with pytest.raises(UserError, match="File name too long"):
        build_corpus(tmp_path / "corpus", [tmp_path / ("x" * 300)])


def test_a_very_long_line_is_kept_and_named(tmp_path: Path, sources: Path) -> None:
    (sources / "long.txt").write_text("word " * 400_000, encoding="utf-8")
    report = build(tmp_path, sources).manifest.report
    assert report.suspicious_count == {"very long line": 1}
    assert (report.suspicious[0].label, report.suspicious[0].reason) == (
        "sources/long.txt",
        "a line of 2,000,000 bytes",
    )


def test_mojibake_and_numbers_are_named(tmp_path: Path, sources: Path) -> None:
    (sources / "mojibake.txt").write_text("GrÃ¶ÃŸe fÃ¼r Ã„pfel " * 20, encoding="utf-8")
    (sources / "numbers.txt").write_text("3.14159 2718 " * 50, encoding="utf-8")
    found = {one.label: one.reason for one in build(tmp_path, sources).manifest.report.suspicious}
    assert "wrongly decoded" in found["sources/mojibake.txt"]
    assert "digits" in found["sources/numbers.txt"]


def test_nothing_readable_is_the_users_error_with_reasons(tmp_path: Path, sources: Path) -> None:
    (sources / "empty.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.txt: empty file"):
        build_corpus(tmp_path / "corpus", [sources])
    with pytest.raises(UserError, match="Not found"):
        build_corpus(tmp_path / "corpus", [tmp_path / "nowhere"])
