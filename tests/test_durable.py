"""Durable files: whole or absent, and never a hang on a hostile one."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.json_lines import JsonLinesWriter, read_json_lines


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "value.json"
    durable.write_bytes(target, b"old")
    with pytest.raises(RuntimeError), durable.atomic_file(target) as file:
        file.write(b"half of the new")
        raise RuntimeError("interrupted")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_killed_writer_leaves_the_old_content_and_its_rest_is_swept(tmp_path: Path) -> None:
    target = tmp_path / "value.json"
    durable.write_bytes(target, b"old")
    code = (
        "import sys; from pathlib import Path; from cptstudio import durable\n"
        "with durable.atomic_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'new' * 100000); file.flush(); print('written', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"
    writer.kill()
    assert writer.wait() == -signal.SIGKILL
    writer.stdout.close()
    assert target.read_bytes() == b"old"
    assert len(durable.sweep_staging(tmp_path)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_a_committed_folder_replaces_the_former_one(tmp_path: Path) -> None:
    target = tmp_path / "corpus"
    for content in ("first", "second"):
        staged = durable.staging_path(target)
        staged.mkdir()
        (staged / "file").write_text(content)
        durable.commit_directory(staged, target)
        assert (target / "file").read_text() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["corpus"]


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_json_holds_any_float_without_the_literals_that_json_lacks(value: float) -> None:
    parsed = durable.parse_json(durable.dump_json({"value": value}))["value"]
    if math.isfinite(value):
        assert parsed == value
    else:
        assert parsed == {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not JSON"),
        ("1" * 5000, "digits"),
        ("[" * 200_000, "deeply"),
        (b"\xff\xfe\x00", "not valid JSON"),
        ("{", "not valid JSON"),
    ],
)
def test_hostile_json_is_an_error_in_words(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UnusableFileError, match=reason) as caught:
        durable.read_json(path)
    assert str(path) in str(caught.value)


def test_json_of_other_programs_may_hold_what_they_write() -> None:
    text = (
        '{"time_step_limit": [0.0, Infinity], "model_max_length": 1000000000000000019884624838656}'
    )
    limit = durable.parse_foreign_json(text)
    assert limit == {"time_step_limit": [0.0, math.inf], "model_max_length": int(1e30)}
    hostile = [("[" * 200_000, "deeply"), ("1" * 5000, "5000 digits"), (b"\xff{}", "UTF-8")]
    for value, reason in hostile:
        with pytest.raises(ValueError, match=reason):
            durable.parse_foreign_json(value)


def test_links_folders_and_fifos_are_refused_without_a_hang(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name, reason in (("link", "symbolic link"), ("fifo", "regular"), ("folder", "regular")):
        with pytest.raises(UnusableFileError, match=reason):
            durable.read_json(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        durable.read_json(tmp_path / "nothing")


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 1000)
    assert durable.read_bytes(path, limit=1000) == b"x" * 1000
    with pytest.raises(UnusableFileError, match="larger than 999"):
        durable.read_bytes(path, limit=999)


def test_a_torn_last_line_is_held_back_then_closed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"seq":1}\n{"seq":2,"lo')
    first = read_json_lines(path)
    assert first.records == [{"seq": 1}]
    assert first.damaged == []
    writer = JsonLinesWriter(path)
    assert writer.closed_torn_line
    writer.append({"seq": 3, "text": "\ud800"})
    writer.close()
    rest = read_json_lines(path, first.end_offset)
    assert [record["seq"] for record in rest.records] == [3]
    assert [number for number, _ in rest.damaged] == [1]
    assert rest.end_offset == path.stat().st_size


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20)), max_size=8), st.data())
def test_reading_in_two_parts_equals_reading_at_once(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    writer = JsonLinesWriter(path)
    for record in records:
        writer.append(record)
    writer.close()
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    first = read_json_lines(path)
    path.write_bytes(whole)
    second = read_json_lines(path, first.end_offset)
    assert first.records + second.records == records
    assert not first.damaged and not second.damaged


def test_damaged_lines_are_named_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a":1}\nnonsense\n[1]\n{"b":NaN}\n\xff\n{"c":2}\n')
    found = read_json_lines(path)
    assert found.records == [{"a": 1}, {"c": 2}]
    assert [number for number, _ in found.damaged] == [2, 3, 4, 5]
