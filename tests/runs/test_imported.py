"""Runs of other programs, read from their files."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio.errors import UserError
from cptstudio.runs.external.imported import find_imported_runs, read_imported_run
from cptstudio.runs.external.log_parser import LogRecord
from tests.runs.external import parse_log

FIXTURES = Path(__file__).parent / "fixtures"


def of_kind(rows: tuple[LogRecord, ...] | list[LogRecord], kind: str) -> list[LogRecord]:
    return sorted((row for row in rows if row.kind == kind), key=lambda row: row.iteration or 0)


@pytest.mark.parametrize("case", ["ended", "interrupted"])
def test_a_forgellm_run_shows_what_mlx_lm_printed_and_nothing_more(case: str) -> None:
    run = read_imported_run(FIXTURES / f"CPT_{case}.json")
    printed = parse_log((FIXTURES / "mlx-lm-lines-pipe.log").read_bytes())
    assert run.source == "forgellm"
    assert of_kind(run.rows, "train") == of_kind(printed, "train")
    assert of_kind(run.rows, "validation") == of_kind(printed, "validation")
    saved = [row for row in of_kind(printed, "saved") if row.iteration is not None]
    assert of_kind(run.rows, "saved") == saved


def test_losses_that_forgellm_interpolated_are_left_out_and_counted() -> None:
    path = FIXTURES / "CPT_ended.json"
    stored = json.loads(path.read_text())["metrics"]
    assert [
        row["iteration"] for row in stored if row["train_loss"] and not row["trained_tokens"]
    ] == [
        1,
        5,
    ]
    run = read_imported_run(path)
    assert [row.iteration for row in of_kind(run.rows, "train")] == [2, 4, 6, 8, 10, 12]
    (note,) = [text for text in run.notes if "interpolate" in text]
    assert note.startswith("2 training losses")


def test_what_forgellm_says_about_a_run_is_told() -> None:
    ended = read_imported_run(FIXTURES / "CPT_ended.json")
    interrupted = read_imported_run(FIXTURES / "CPT_interrupted.json")
    assert (ended.name, ended.base_model) == ("toy-cpt", "model")
    assert ended.created is not None
    assert ended.ended is not None
    assert ended.ended >= ended.created
    assert interrupted.ended is None
    assert interrupted.notes == ()


def test_losses_without_other_measurements_stay_when_all_are_so(tmp_path: Path) -> None:
    path = tmp_path / "CPT_20250101_000000.json"
    rows = [{"iteration": 1, "train_loss": 3.0}, {"iteration": 2, "train_loss": 2.0}]
    path.write_text(json.dumps({"session_id": "CPT_x", "metrics": rows}))
    assert [row.train_loss for row in read_imported_run(path).rows] == [3.0, 2.0]


PLAIN: list[tuple[str, Any]] = [
    ("list", [{"step": 1, "loss": 3.5, "lr": 1e-4}, {"step": 2, "val_loss": 3.25}]),
    (
        "transformers",
        {
            "log_history": [
                {"step": 1, "loss": 3.5, "learning_rate": 1e-4, "epoch": 0.1},
                {"step": 2, "eval_loss": 3.25},
            ]
        },
    ),
    (
        "columns",
        {
            "iteration": [1, 2],
            "train_loss": [3.5, None],
            "learning_rate": [1e-4, None],
            "val_loss": [None, 3.25],
        },
    ),
]


@pytest.mark.parametrize(
    ("form", "value"), PLAIN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_plain_metrics_are_read_in_their_usual_forms(form: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / f"{form}.json"
    path.write_text(json.dumps(value))
    run = read_imported_run(path)
    assert run.rows == (
        LogRecord("train", 1, train_loss=3.5, learning_rate=1e-4),
        LogRecord("validation", 2, validation_loss=3.25),
    )
    assert (run.name, run.created) == (form, None)


def test_json_lines_are_read_and_damaged_ones_counted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 2.5}\nbroken\n{"step": 2, "loss": "NaN"}\n{"step": 3}\n{"st'
    )
    run = read_imported_run(path)
    assert [row.iteration for row in run.rows] == [1, 2]
    assert math.isnan(run.rows[1].train_loss or 0.0)
    assert run.notes == (
        "1 rows without iteration and loss were skipped.",
        "1 lines that are not JSON objects were skipped.",
    )


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.log")), ids=lambda path: path.name)
def test_a_log_is_read_like_the_output_it_holds(path: Path) -> None:
    run = read_imported_run(path)
    assert run.source == "log"
    assert repr(list(run.rows)) == repr(parse_log(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("half.json", b'{"session_id": "CPT_1", "metrics": [{"iteration": 1, "trai'),
        ("empty.json", b""),
        ("number.json", b"7"),
        ("no-rows.json", b'{"metrics": []}'),
        ("other.json", b'{"model_type": "llama"}'),
        ("ragged.json", b'{"step": [1, 2], "loss": [1]}'),
        ("deep.json", b"[" * 100_000),
        ("binary.json", bytes(range(256))),
        ("metrics.json", b'{"session_id": 1, "metrics": 7}'),
        ("empty.jsonl", b""),
        ("binary.log", bytes(range(256)) * 100),
        ("huge.json", b'[{"step": ' + b"9" * 5000 + b', "loss": 1}]'),
    ],
)
def test_what_holds_no_run_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_imported_run(path)


def test_links_and_missing_files_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(FIXTURES / "CPT_ended.json")
    with pytest.raises(UserError, match="symbolic link"):
        read_imported_run(link)
    for name in ("no.json", "no.jsonl", "no.log"):
        with pytest.raises(FileNotFoundError):
            read_imported_run(tmp_path / name)


def test_forgellm_files_are_found_in_a_models_folder(tmp_path: Path) -> None:
    data = (FIXTURES / "CPT_ended.json").read_bytes()
    wanted = [
        tmp_path / "CPT_1.json",
        tmp_path / "one" / "CPT_2.json",
        tmp_path / "one" / "IFT_3.json",
    ]
    for path in [*wanted, tmp_path / "one" / "config.json", tmp_path / "one" / "IPT_4.json"]:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "linked").symlink_to(tmp_path / "one")
    (tmp_path / "CPT_5.json").symlink_to(wanted[0])
    (tmp_path / "CPT_6.json").mkdir()
    assert find_imported_runs(tmp_path) == sorted(wanted)
    assert find_imported_runs(tmp_path / "nowhere") == []


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["metrics", "session_id", "step", "iteration", "loss", "val_loss", "name"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50)
@given(value=_VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.json"
        path.write_text(json.dumps(value))
        try:
            run = read_imported_run(path)
        except UserError:
            return
    assert run.source in ("forgellm", "metrics")
    assert all(row.iteration is not None for row in run.rows)
