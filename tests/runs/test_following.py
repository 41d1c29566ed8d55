"""Following files that grow, are torn, cut off, exchanged, deleted, or are no files at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio.durable import LINE_SIZE_LIMIT
from cptstudio.runs.following import Follower


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps({"seq": number}).encode() + b"\n" for number in numbers)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def seqs(follower: Follower) -> list[int]:
    return [record["seq"] for news in follower.look_to_the_end() for record in news.records]


def test_only_what_is_new_is_told_and_a_growing_line_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = Follower(path)
    assert not follower.look()
    append(path, lines(1, 2) + b'{"seq"')
    assert seqs(follower) == [1, 2]
    assert not follower.look()
    append(path, b": 3}\n" + lines(4))
    assert seqs(follower) == [3, 4]


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_however_a_file_arrives_each_line_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], width: int
) -> None:
    path = tmp_path_factory.mktemp("f") / "metrics.jsonl"
    data = b"".join(
        json.dumps({"seq": number, "text": "x" * size}).encode() + b"\n"
        for number, size in enumerate(sizes)
    )
    follower, seeker = Follower(path), Follower(path, sought=(b"xxxxx", b'"seq": 1'))
    told, found = [], []
    for start in range(0, len(data), width):
        append(path, data[start : start + width])
        told += seqs(follower)
        found += seqs(seeker)
    assert told == list(range(len(sizes)))
    assert found == [seq for seq, size in enumerate(sizes) if size >= 5 or seq in (1, 10, 11)]


def test_a_file_cut_off_or_exchanged_is_read_anew_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, lines(1, 2, 3))
    follower = Follower(path)
    assert seqs(follower) == [1, 2, 3]
    os.truncate(path, 0)
    append(path, lines(1))
    news = follower.look()
    assert news.restarted and [record["seq"] for record in news.records] == [1]
    path.rename(tmp_path / "metrics.jsonl.1")
    assert not follower.look()
    append(path, lines(7, 8))
    news = follower.look()
    assert news.restarted and [record["seq"] for record in news.records] == [7, 8]
    path.unlink()
    assert not follower.look()


def test_damaged_lines_are_named_and_never_joined_with_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, lines(1) + b'{"se\n' + b"\xff\xfe\n" + b"5\n" + b'{"seq": NaN}\n' + lines(2))
    follower = Follower(path)
    news = follower.look()
    assert [record["seq"] for record in news.records] == [1, 2]
    assert len(news.problems) == 4
    assert all(str(path) in problem for problem in news.problems)


def test_an_endless_line_costs_bounded_memory_and_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append(path, lines(1))
    with path.open("ab") as file:
        for _ in range(LINE_SIZE_LIMIT // 2**20 * 2 + 3):
            file.write(b"x" * 2**20)
    append(path, b"\n" + lines(2))
    follower = Follower(path)
    found = list(follower.look_to_the_end())
    assert [record["seq"] for news in found for record in news.records] == [1, 2]
    assert len([problem for news in found for problem in news.problems]) == 1


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_fifo, _link, _folder])
def test_what_is_no_regular_file_is_refused_once_and_may_become_one(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "metrics.jsonl"
    make(path)
    follower = Follower(path)
    assert len(follower.look().problems) == 1
    assert not follower.look()
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    append(path, lines(1))
    assert seqs(follower) == [1]
