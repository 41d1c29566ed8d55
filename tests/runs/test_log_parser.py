"""The log parser, on what the real programs printed (fixtures/manifest.json) and on anything."""

from __future__ import annotations

import math
import re
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cptstudio.runs.external import log_parser
from cptstudio.runs.external.log_parser import LINE_LIMIT, LogParser, LogRecord
from tests.runs.external import parse_log

FIXTURES = Path(__file__).parent / "fixtures"
TRAINED = sorted(
    path
    for path in FIXTURES.glob("*.log")
    if "traceback" not in path.name and "nonfinite" not in path.name
)
ALL = sorted(FIXTURES.glob("*.log"))
TABLE = "mlx-lm-table-"
ITERATIONS = 12


def records_of(name: str) -> list[LogRecord]:
    return parse_log((FIXTURES / name).read_bytes())


def of_kind(records: list[LogRecord], kind: str) -> list[LogRecord]:
    return [record for record in records if record.kind == kind]


def test_all_generations_and_ways_of_output_are_there() -> None:
    names = {path.name for path in ALL}
    assert {"mlx-lm-first-lines-file.log", "mlx-lm-lora-terminal.log"} < names
    for generation in ("lines", "table"):
        for way in ("file", "pipe", "terminal"):
            assert f"mlx-lm-{generation}-{way}.log" in names
    assert b"\x1b[" in (FIXTURES / "mlx-lm-table-pipe.log").read_bytes()
    assert b"\r" in (FIXTURES / "mlx-lm-lines-file.log").read_bytes()


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.name)
def test_every_report_of_a_real_run_is_read(path: Path) -> None:
    records = parse_log(path.read_bytes())
    train = of_kind(records, "train")
    assert [record.iteration for record in train] == [2, 4, 6, 8, 10, 12]
    validation = of_kind(records, "validation")
    assert [record.iteration for record in validation] == [1, 4, 8, 12]
    saved = [record.iteration for record in of_kind(records, "saved")]
    assert saved[:2] == [5, 10]
    for record in train:
        assert record.train_loss is not None
        assert 4 < record.train_loss < 7  # 512 entries: log(512) is 6.2.
        assert record.tokens_per_second is not None
        assert record.trained_tokens is not None
        assert record.validation_loss is None
    tokens = [record.trained_tokens or 0 for record in train]
    assert tokens == sorted(tokens)
    for record in validation:
        assert record.validation_loss is not None
        assert record.validation_seconds is not None
        assert record.train_loss is None
    assert not of_kind(records, "traceback")


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.name)
def test_what_a_generation_does_not_print_is_absent(path: Path) -> None:
    for record in of_kind(parse_log(path.read_bytes()), "train"):
        printed = not path.name.startswith(TABLE)
        assert (record.learning_rate is not None) == printed
        assert (record.iterations_per_second is not None) == printed
        assert (record.peak_memory_gigabytes is not None) == printed


@pytest.mark.parametrize("generation", ["lines", "table"])
def test_the_same_run_reads_the_same_from_file_pipe_and_terminal(generation: str) -> None:
    def without_speed_and_memory(record: LogRecord) -> LogRecord:
        return replace(
            record,
            validation_seconds=None,
            iterations_per_second=None,
            tokens_per_second=None,
            peak_memory_gigabytes=None,
        )

    ways = [
        [
            without_speed_and_memory(record)
            for record in records_of(f"mlx-lm-{generation}-{way}.log")
        ]
        for way in ("file", "pipe", "terminal")
    ]
    assert ways[0] == ways[1] == ways[2]


def test_both_generations_report_the_same_losses_of_the_same_run() -> None:
    lines = records_of("mlx-lm-lines-pipe.log")
    table = records_of("mlx-lm-table-pipe.log")
    for kind in ("train", "validation"):
        assert [
            (one.iteration, one.train_loss, one.validation_loss) for one in of_kind(lines, kind)
        ] == [(one.iteration, one.train_loss, one.validation_loss) for one in of_kind(table, kind)]
    assert of_kind(lines, "planned") == of_kind(table, "planned")
    assert of_kind(lines, "planned")[0].planned_iterations == ITERATIONS
    assert of_kind(lines, "test") == of_kind(table, "test") != []


def test_numbers_are_those_that_were_printed() -> None:
    text = (FIXTURES / "mlx-lm-lines-pipe.log").read_text("utf-8")
    printed = re.findall(
        r"Iter (\d+): Train loss ([\d.]+), Learning Rate ([\d.e+-]+), It/sec ([\d.]+), "
        r"Tokens/sec ([\d.]+), Trained Tokens (\d+), Peak mem ([\d.]+) GB",
        text,
    )
    read = [
        (
            record.iteration,
            record.train_loss,
            record.learning_rate,
            record.iterations_per_second,
            record.tokens_per_second,
            record.trained_tokens,
            record.peak_memory_gigabytes,
        )
        for record in of_kind(parse_log(text.encode()), "train")
    ]
    assert read == [tuple(float(number) for number in numbers) for numbers in printed]
    assert len(read) == ITERATIONS / 2


def test_saved_files_are_named_as_printed() -> None:
    lines = of_kind(records_of("mlx-lm-lines-file.log"), "saved")
    assert lines[0].saved_paths == (
        "adapters/adapters.safetensors",
        "adapters/0000005_adapters.safetensors",
    )
    assert lines[-1].iteration is None
    assert lines[-1].saved_paths == ("adapters/adapters.safetensors",)
    first = of_kind(records_of("mlx-lm-first-lines-file.log"), "saved")
    assert first == lines
    table = of_kind(records_of("mlx-lm-table-file.log"), "saved")
    assert table[0].saved_paths == ("0000005_adapters.safetensors",)


@pytest.mark.parametrize("generation", ["lines", "table"])
def test_non_finite_losses_are_kept_as_such(generation: str) -> None:
    records = records_of(f"mlx-lm-{generation}-nonfinite-file.log")
    losses = [record.train_loss for record in of_kind(records, "train")]
    assert len(losses) == ITERATIONS / 2
    assert all(loss is not None and not math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("generation", ["lines", "table"])
@pytest.mark.parametrize(
    ("case", "last_line"),
    [
        ("traceback-file", "json.decoder.JSONDecodeError: Invalid control character at: line 1"),
        ("traceback-terminal", "ModuleNotFoundError: No module named 'datasets'"),
    ],
)
def test_a_traceback_is_read_whole(generation: str, case: str, last_line: str) -> None:
    (record,) = records_of(f"mlx-lm-{generation}-{case}.log")
    assert record.traceback is not None
    lines = record.traceback.split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(last_line)
    assert any("load_dataset" in line for line in lines)
    assert not any("Loading" in line for line in lines)


def test_a_message_of_several_lines_is_read_whole() -> None:
    (record,) = records_of("mlx-lm-first-lines-traceback-file.log")
    assert record.traceback is not None
    assert record.traceback.endswith("ValueError: Missing 1 parameters:\nlm_head.weight.")


def test_a_message_that_lists_names_and_a_second_traceback_are_read() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n'
        "    load()\n"
        "ValueError: Missing 2 parameters: \n"
        "model.one.weight,\n"
        "model.two.weight.\n"
        "Iter 1: Val loss 1.000, Val took 1.000s\n"
        "Traceback (most recent call last):\n"
        '  File "b.py", line 1, in <module>\n'
        "KeyboardInterrupt\n"
        "and more\n"
    )
    first, value, second = parse_log(text.encode())
    assert first.traceback is not None
    assert first.traceback.endswith("parameters:\nmodel.one.weight,\nmodel.two.weight.")
    assert value.validation_loss == 1.0
    assert second.traceback is not None
    assert second.traceback.endswith("KeyboardInterrupt")


def test_a_traceback_that_broke_off_is_given_at_the_end() -> None:
    parser = LogParser()
    assert parser.feed(b"Traceback (most recent call last):\n  File 'a'\n  cut of") == []
    (record,) = parser.close()
    assert record.traceback == "Traceback (most recent call last):\n  File 'a'"
    assert parser.close() == []


def test_a_last_line_without_its_end_is_no_record() -> None:
    line = b"Iter 10: Train loss 2.5"
    assert parse_log(line) == []
    assert [record.train_loss for record in parse_log(line + b"01\n")] == [2.501]


def test_bars_on_both_sides_of_a_carriage_return_hide_nothing() -> None:
    data = (
        b"\rLoss:  10%|\xe2\x96\x88   | 1/9\rLoss:  20%|\xe2\x96\x88 | 2/9"
        b"Iter 4: Val loss 1.500, Val took 0.100s\r\r\n"
        b"\r\x1b[2K\x1b[1A\x1b[2K   7    1.250 \xe2\x96\xbc    1,234     12.3k\rtrain 10%"
    )
    validation, train = parse_log(data)
    assert (validation.iteration, validation.validation_loss) == (4, 1.5)
    assert (train.iteration, train.train_loss, train.tokens_per_second) == (7, 1.25, 1234.0)
    assert train.trained_tokens == 12300


def test_a_very_long_line_is_cut_at_its_beginning_and_counted() -> None:
    parser = LogParser()
    message = b"Iter 4: Val loss 1.500, Val took 0.100s\n"
    records = parser.feed(b"\x00\xff" * LINE_LIMIT + message)
    for _ in range(100):
        records += parser.feed(b"x" * LINE_LIMIT)
    records += parser.feed(b" " + message)
    assert [record.validation_loss for record in records] == [1.5, 1.5]
    assert parser.truncated_lines == 2


def test_memory_does_not_grow_with_what_is_read() -> None:
    parser = LogParser()
    piece = b"Traceback (most recent call last):\n" + b"  a frame\n" * 500 + b"z" * 200_000
    parser.feed(piece)
    tracemalloc.start()
    try:
        parser.feed(piece)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(4):
            parser.feed(piece)
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


# --- any input -------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [line for path in ALL for line in path.read_bytes().splitlines(keepends=True)]
    + [b"\r", b"\n", b"\x1b", b"\x1b[", b"\x1b[2K", b"\x1b]0;title\x07", b"Iter ", b"Iter 1: "]
    + [b"Train loss ", b", ", b"nan", b"-inf", b"1e999", b"9" * 400, b",", b" GB", b"\xe2\x96"]
    + [b"Traceback (most recent call last):\n", b"  frame\n", b"Error: a,\n", b"\x00" * 9]
    + [b"Iter 3: Saved adapter weights to ", b"\xe2\x94\x82 batch \xc2\xb7 iters , \xc2\xb7 ,"]
)
_OUTPUT = st.lists(_PIECES | st.binary(max_size=20), max_size=12).map(b"".join)


def comparable(records: list[LogRecord]) -> list[str]:
    """Texts, since NaN is not equal to itself."""
    return [repr(record) for record in records]


@settings(deadline=None)
@given(_OUTPUT, st.lists(st.integers(1, 30), min_size=1, max_size=20))
@example(b"Iter 1: Val loss 1.0, Val took 1.0s\r\n", [1])
def test_any_way_to_cut_the_bytes_gives_the_same_records(data: bytes, sizes: list[int]) -> None:
    parser = LogParser()
    records: list[LogRecord] = []
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        records += parser.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    records += parser.close()
    assert comparable(records) == comparable(parse_log(data))


@settings(deadline=None)
@given(_OUTPUT)
def test_lines_that_are_skipped_for_speed_hold_no_record(data: bytes) -> None:
    quick = comparable(parse_log(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_parser, "_MAY_TELL", re.compile(b""))
        assert comparable(parse_log(data)) == quick


@settings(deadline=None)
@given(_OUTPUT)
def test_no_input_makes_it_raise_and_a_record_holds_what_its_kind_says(data: bytes) -> None:
    needed = {
        "planned": "planned_iterations",
        "train": "train_loss",
        "validation": "validation_loss",
        "test": "test_loss",
        "saved": "saved_paths",
        "traceback": "traceback",
    }
    for record in parse_log(data):
        assert getattr(record, needed[record.kind]) not in (None, ())
        for field in fields(record):
            value = getattr(record, field.name)
            assert value is None or isinstance(value, (str, int, float, tuple))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_real_output_reads_the_same_byte_by_byte(path: Path) -> None:
    data = path.read_bytes()
    parser = LogParser()
    records = [record for byte in data for record in parser.feed(bytes([byte]))]
    assert comparable(records + parser.close()) == comparable(parse_log(data))
