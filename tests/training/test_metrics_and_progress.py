from __future__ import annotations

import io
import json
import os
import signal
import threading
from pathlib import Path

import pytest

from cptstudio import json_lines
from cptstudio.durable import UnusableFileError, parse_json
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import LOCK, METRICS
from cptstudio.run_rows import TRAIN, current_rows, last_seq, last_session
from cptstudio.runs import following
from cptstudio.runs.watcher import RunFollower
from cptstudio.training.console_progress import ProgressReporter, open_log
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.seeds import micro_batch_seed, sample_seed
from cptstudio.training.stop_requests import StopRequest
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from tests.training.trainer_process import reproducible


def test_positions_go_on_over_sessions_and_torn_lines(tmp_path: Path) -> None:
    first = TrainingMetricsLogger(tmp_path, session=0)
    for step in (1, 2, 3):
        first.row(TRAIN, step, loss=float(step))
    first.close()
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"seq": 4, "kin')
    assert (last_seq(tmp_path), last_session(tmp_path)) == (3, 0)
    second = TrainingMetricsLogger(tmp_path, session=1)
    second.resume(from_step=2, after_seq=2)
    second.row(TRAIN, 3, loss=30.0)
    second.close()
    lines = read_json_lines(tmp_path / METRICS)
    assert [row["seq"] for row in lines.records] == [1, 2, 3, 4, 5]
    assert [number for number, _ in lines.damaged] == [4]
    held = current_rows(lines.records)
    assert [(row["step"], row["loss"]) for row in held] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_last_row_that_lacks_only_its_newline_keeps_its_position(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"seq":1,"session":0}\n{"seq":2,"session":0}')
    logger = TrainingMetricsLogger(tmp_path, session=1)
    logger.row(TRAIN, 3)
    logger.close()
    assert [row["seq"] for row in read_json_lines(tmp_path / METRICS).records] == [1, 2, 3]


def test_a_run_with_a_million_rows_is_continued_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / METRICS).open("w") as file:
        for start in range(1, 1_000_001, 10_000):
            file.writelines(
                f'{{"seq":{seq},"session":3,"kind":"train","step":{seq},"loss":2.5}}\n'
                for seq in range(start, start + 10_000)
            )
        file.write('{"seq": 1000001, "kin')
    parsed = 0

    def count(line: bytes) -> object:
        nonlocal parsed
        parsed += 1
        return parse_json(line)

    monkeypatch.setattr(json_lines, "parse_json", count)
    assert (last_seq(tmp_path), last_session(tmp_path)) == (1_000_000, 3)
    logger = TrainingMetricsLogger(tmp_path, session=4)
    logger.resume(from_step=999_000, after_seq=999_000)
    logger.close()
    # The torn line has become a damaged one, which the logger passes over.
    assert parsed == 4
    follower = RunFollower("big", tmp_path / "private", tmp_path, after_seq=999_990)
    monkeypatch.setattr(following, "parse_json", count)
    assert [row["seq"] for row in follower.look().rows] == list(range(999_991, 1_000_002))
    assert parsed < 30
    assert last_seq(tmp_path) == 1_000_001


def test_lines_are_read_backwards_as_they_are_read_forwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ['{"n":1}', "", "torn{", '{"n":2,"long":"' + "x" * 300 + '"}', "[3]", '{"n":4}']
    path = tmp_path / METRICS
    for end in ("", "\n", '\n{"n":5'):
        path.write_text("\n".join(lines) + end)
        for block in (1, 2, 7, 64, 1000):
            monkeypatch.setattr(json_lines, "_BLOCK", block)
            backwards = list(json_lines.read_json_lines_backwards(path))
            assert backwards[::-1] == json_lines.read_json_lines(path).records
            for end, record in json_lines.located_json_lines_backwards(path):
                line = path.read_bytes()[:end].splitlines(keepends=True)[-1]
                assert line.endswith(b"\n") and parse_json(line) == record
    assert [row["n"] for row in json_lines.read_json_lines_backwards(path, 20)] == [4]
    assert list(json_lines.read_json_lines_backwards(tmp_path / "none")) == []


def test_values_that_are_not_finite_stay_valid_json(tmp_path: Path) -> None:
    logger = TrainingMetricsLogger(tmp_path, session=0)
    logger.row(TRAIN, 1, loss=float("nan"), gradient_norm=float("inf"))
    logger.close()
    (line,) = (tmp_path / METRICS).read_text().splitlines()

    def refuse(literal: str) -> None:
        raise AssertionError(literal)

    row = json.loads(line, parse_constant=refuse)
    assert (row["loss"], row["gradient_norm"]) == ("NaN", "Infinity")


def test_reproducible_fields_leave_out_time_and_place() -> None:
    row = {"seq": 4, "session": 2, "kind": "train", "loss": 1.0, "time": 5.0, "memory_peak": 3}
    assert reproducible(row) == {"kind": "train", "loss": 1.0}


def test_progress_into_a_file_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    reporter = ProgressReporter(100, output)
    reporter.step(1, loss=2.5, rate=1e-4, tokens_per_second=1234.5, seconds=2.0)
    reporter.step(2, loss=2.4, rate=1e-4, tokens_per_second=1234.5, seconds=2.0)
    reporter.say("Saved step-00000002.")
    reporter.step(100, loss=1.5, rate=1e-6, tokens_per_second=1234.5, seconds=2.0)
    reporter.close()
    assert output.getvalue().splitlines() == [
        "step   1/100  loss 2.5000  rate 1.00e-04  1,234 tokens/s  3 min 18 s left",
        "Saved step-00000002.",
        "step 100/100  loss 1.5000  rate 1.00e-06  1,234 tokens/s  0 s left",
    ]


def test_the_log_gets_plain_lines_beside_what_is_shown(tmp_path: Path) -> None:
    log = open_log(tmp_path / "train.log")
    assert log is not None
    reporter = ProgressReporter(2, Terminal(), log)
    reporter.say("Saved.")
    for step in (1, 2):
        reporter.step(step, loss=2.5, rate=1e-4, tokens_per_second=10.0, seconds=1.0)
    reporter.close()
    lines = (tmp_path / "train.log").read_text().splitlines()
    assert lines[0] == "Saved."
    assert [line.split()[1] for line in lines[1:]] == ["1/2", "2/2"]


def test_a_log_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableFileError, match=r"train\.log"):
        open_log(tmp_path / "train.log")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_below_what_was_said() -> None:
    output = Terminal()
    reporter = ProgressReporter(4, output)
    reporter.step(2, loss=2.5, rate=1e-4, tokens_per_second=10.0, seconds=1.0)
    reporter.say("Saved.")
    reporter.close()
    text = output.getvalue()
    assert "█" * 10 + "░" * 10 in text
    assert text.count("\n") == 2
    assert "\r\x1b[KSaved.\n" in text


def test_durations_are_said_as_the_pages_say_them() -> None:
    table = json.loads((Path(__file__).parents[1] / "durations.json").read_text(encoding="utf-8"))
    assert [[seconds, duration(seconds)] for seconds, _ in table] == table


def test_seeds_differ_by_place_and_only_by_it() -> None:
    seeds = {micro_batch_seed(run, step, n) for run in (0, 1) for step in range(20) for n in (0, 1)}
    assert len(seeds) == 80
    assert micro_batch_seed(3, 4, 5) == micro_batch_seed(3, 4, 5) < 2**64
    assert sample_seed(0, 0) != sample_seed(0, 1)


def test_the_lock_knows_whether_its_directory_is_still_there(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    lock = RunLock(directory)
    lock.check_present()
    with pytest.raises(UserError, match=str(os.getpid())):
        RunLock(directory)
    moved = directory.rename(tmp_path / "moved")
    with pytest.raises(RunDirectoryGoneError):
        lock.check_present()
    directory.mkdir()
    (directory / LOCK).touch()
    with pytest.raises(RunDirectoryGoneError):
        lock.check_present()
    lock.close()
    RunLock(moved).close()


def test_the_first_stop_request_names_the_reason() -> None:
    assert threading.current_thread() is threading.main_thread()
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = StopRequest()
        stop.install()
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == "Stopped on request"
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
