"""One line a file: what the lines say adds up to what the report says, whatever the files are."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.damage.material import made, sentences
from benchmarks.damage.zipping import zipped
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.file_lines import FileLine, file_lines
from cptstudio.corpus.manifest import BuildSettings

PATIENCE = 600.0
_KEY = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\n" * 20
_CHAT = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode() + b"\n"


def nasty(folder: Path) -> None:
    """All formats, whole and damaged, archives with all of that, secrets, conversations, copies."""
    chance = random.Random(5)
    files = dict(made())
    for name, data in list(files.items()):
        if len(data) < 100_000:
            flipped = bytearray(data)
            for _ in range(8):
                flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            files[f"flipped/{name}"] = bytes(flipped)
            files[f"cut/{name}"] = data[: len(data) // 2]
    files |= {
        "private.txt": b"Tel. +49 30 1234567, mail ada@example.org\n" + sentences(3).encode(),
        "key.txt": _KEY.encode(), ".env": b"TOKEN=x", "chat.jsonl": _CHAT * 3, "empty.txt": b"",
        "copy of text.txt": files["text.txt"], "nul.bin": bytes(1000),
        "rows.csv": b"text,n\none,1\ntwo\nthree,3,4,5\n", "bad.jsonl": b"{\n{\n" * 20 + _CHAT,
    }  # fmt: skip
    inside = {name.replace("/", "-"): data for name, data in files.items() if len(data) < 20_000}
    files["all.zip"] = zipped({**inside, "deep/.git/config": b"x", "id_rsa": b"y"})
    files["cut.zip"] = files["all.zip"][: len(files["all.zip"]) // 2]
    files["secrets.zip"] = zipped({"id_rsa": b"y", ".env": b"z"})
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.slow
def test_the_lines_of_a_nasty_folder_add_up_to_the_report(tmp_path: Path) -> None:
    nasty(tmp_path / "s")
    (tmp_path / "s/loop").symlink_to(tmp_path / "s")
    corpus = build_corpus(tmp_path / "c", [tmp_path / "s"], BuildSettings(validation=0.1)).corpus
    report = corpus.manifest.report
    lines = file_lines(corpus, 0, 10_000, seconds=PATIENCE).files
    assert len(lines) == report.source_files
    pages, start = [], 0
    while start is not None:
        page = file_lines(corpus, start, 7, seconds=PATIENCE)
        pages.append(page.files)
        start = page.next
    assert [line for page in pages for line in page] == lines
    over = file_lines(corpus, 0, 7, seconds=-1)
    assert (over.files, over.next, over.full) == ([], 0, False)
    added: dict[str, Counter[str]] = {
        name: sum((Counter(getattr(line, name)) for line in lines), Counter())
        for name in ("documents", "private", "left_out")
    }
    assert added["documents"] == Counter({k: n for k, n in report.documents.items() if n})
    assert added["private"] == Counter({k: n for k, n in (report.private or {}).items() if n})
    assert added["left_out"] == Counter(report.left_out)
    sides = sum(report.text_bytes[side] for side in ("train", "validation", "test"))
    assert sum(line.text_bytes for line in lines) == sides

    def total_of(name: str) -> int:
        return sum(int(getattr(line, name)) for line in lines)

    assert total_of("document_count") == sum(report.documents.values()) > 60
    assert total_of("problem_count") == report.problem_count > 60
    assert total_of("conversations") == report.conversations > 6
    assert total_of("pictures") == report.pictures and total_of("recognized") == report.recognized
    wrong = file_lines(corpus, 0, 10_000, problems=True, seconds=PATIENCE).files
    assert len(wrong) == report.problem_files
    assert wrong == [line for line in lines if line.problem_count]
    by_name: dict[str, FileLine] = {line.label.removeprefix("s/"): line for line in lines}
    assert by_name["all.zip"].left_aside is None and by_name["all.zip"].aside_count > 2
    assert by_name["secrets.zip"].left_aside == "secrets" and not by_name["secrets.zip"].documents
    # What was left aside unread has no line, and is counted by itself.
    unread = sum(report.left_aside.values()) - total_of("aside_count")
    assert unread == 1 and "s/.env" not in by_name
