"""The comparison with the peers: what it counts, what it concludes, and that it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import against_peers
from benchmarks.peers import plan, report
from benchmarks.peers.catalogue import PEERS, SPLIT, default_environments
from benchmarks.peers.documents import docstrings, standard_library_documents, write_documents
from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.measure import Measured
from benchmarks.peers.model_folder import train_tokenizer, training_operations, weights
from benchmarks.peers.processes import run_to_end
from benchmarks.peers.runner import Batch, Clock, MeasuredEnough
from benchmarks.peers.setup import is_complete
from benchmarks.peers.workbench import split_documents


def measured(tool: str, round_number: int, speed: float, **more: Any) -> Measured:
    what = {"method": "full", "context": 512, "vocabulary": 8192, "fast_blas": True}
    return Measured(tool, round=round_number, useful_per_second=speed, **(what | more))


@pytest.mark.slow
@pytest.mark.bench
def test_documents_are_the_same_each_time_and_keep_their_order_when_there_are_more() -> None:
    few, more = standard_library_documents(200_000), standard_library_documents(400_000)
    assert few == more[: len(few)]
    assert 100_000 < sum(len(text.encode()) for text in few) <= 200_000
    assert len(set(more)) == len(more)


def test_short_docstrings_and_source_that_does_not_parse_give_no_documents() -> None:
    long = "word " * 50 + "end"
    assert docstrings(f'"""{long}"""\nclass A:\n    """Short."""\n') == [long]
    assert docstrings("def broken(:") == []


def test_every_document_is_a_line_of_the_peers_file(tmp_path: Path) -> None:
    texts = ["one\ntwo", "three \N{GREEK SMALL LETTER PI}"]
    write_documents(texts, tmp_path)
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts


def test_documents_are_split_without_losing_text() -> None:
    documents = ["x = 1\n" * 50, "naïve π 🚀" * 20, "short"]
    tokenizer = train_tokenizer(documents)
    pieces = split_documents(documents, tokenizer, 7)
    assert "".join(pieces) == "".join(documents)
    assert len(pieces) > len(documents)
    assert "short" in pieces


def test_the_model_has_the_size_that_the_page_claims() -> None:
    tensors = weights(8192)
    assert round(sum(value.size for value in tensors.values()) / 1e6, 1) == 13.8
    assert all(value.dtype == np.float32 for value in tensors.values())


def test_full_training_counts_six_operations_for_each_weight_and_causal_attention() -> None:
    matrices = sum(value.size for value in weights(8192).values() if value.ndim == 2)
    without_attention = training_operations("full", 8192, 0, 64)
    assert without_attention == 6 * matrices
    one_more_token_of_context = training_operations("full", 8192, 1, 64) - without_attention
    assert one_more_token_of_context == 8 * (2 + 2 + 2) * 320


def test_useful_targets_leave_out_padding_and_each_rows_first_token() -> None:
    batch = Batch(content=None, width=33, lengths=[33, 10, 2, 1])
    assert batch.useful == 32 + 9 + 1 + 0
    assert batch.positions == 4 * 32


def test_the_clock_samples_evenly_by_width_and_ends_the_training() -> None:
    clock = Clock({"steps": 3, "warmup": 1, "seed": 5, "short_warmup": False})
    clock.collect([Batch(None, width, [width]) for width in range(9, 0, -1)])
    assert clock.epoch["positions"] == sum(range(9))
    widths = [clock.next_batch().width for _ in range(4)]
    assert widths[0] == 9
    assert sorted(widths[1:]) == [2, 5, 8]
    with pytest.raises(MeasuredEnough):
        clock.next_batch()
    assert [step["width"] for step in clock.steps] == widths
    assert all(step["seconds"] >= 0 for step in clock.steps)


def test_ratios_are_formed_within_rounds_and_against_the_best_peer() -> None:
    runs = [measured("slow", n, 1.0) for n in range(3)]
    runs += [measured("fast", n, speed) for n, speed in enumerate((2.0, 4.0, 5.0))]
    runs += [measured(plan.OURS, n, speed) for n, speed in enumerate((4.0, 12.0, 10.0))]
    assert report.best_peer(runs) == "fast"
    assert report.paired_ratios(runs, "fast") == [2.0, 3.0, 2.0]
    assert report.ratio_text([2.0, 3.0, 2.0]) == "2.00 (2.00 to 3.00)"


def test_a_failed_tool_is_named_with_its_reason_instead_of_a_number() -> None:
    runs = [measured("fast", 0, 2.0), measured("slow", 0, 0.0, error="ended with status 1: why")]
    text = report.cell_table(runs, runs[0])
    assert "slow has no row: ended with status 1: why" in text
    assert "| slow" not in text


def test_rounds_begin_with_different_tools_and_hold_all_of_them() -> None:
    runs = plan.main_runs(["a", "b", "c"], [512], ["full"], rounds=3)
    order = [[run.tool for run in runs if run.round == number] for number in range(3)]
    assert order == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_after_the_first_round_of_a_long_context_only_the_fastest_peer_and_ours_go_on() -> None:
    runs = plan.main_runs(["a", "b", plan.OURS], [512, 2048], ["full"], rounds=2)
    needed = [run for run in runs if plan.is_needed(run, "b")]
    left_out = [run for run in runs if run not in needed]
    assert [(run.tool, run.cell.context, run.round) for run in left_out] == [("a", 2048, 1)]


def test_a_part_of_a_page_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin x -->\nold\n<!-- end x -->\nafter\n")
    replace_part(page, "x", table(["a", "b"], [["1", "2"]]))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "old" not in text and "| 1 | 2 |" in text
    with pytest.raises(ValueError, match="markers"):
        replace_part(page, "y", "text")


def test_a_process_is_measured_and_its_output_kept(tmp_path: Path) -> None:
    code = "import sys; memory = bytearray(300_000_000); print('said'); sys.exit(3)"
    ended = run_to_end([sys.executable, "-c", code], tmp_path / "log", tmp_path)
    assert ended.status == 3
    assert ended.peak_bytes > 300_000_000
    assert (tmp_path / "log").read_text().strip() == "said"


def test_with_no_peer_and_without_ours_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--quick", "--without-ours", "--environments", str(tmp_path / "none")]
    assert against_peers.main(arguments) == 1
    said = capsys.readouterr().out
    assert "python -m benchmarks.peers.setup --peers mlx-lm" in said
    assert "Nothing to measure" in said


INSTALLED = [peer.name for peer in PEERS if is_complete(default_environments(), peer)]


@pytest.mark.slow
@pytest.mark.bench
def test_our_own_trainer_is_measured_and_reads_every_token(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = ["--quick", "--methods", "full", "lora", "--peers", "--json", str(results)]
    assert against_peers.main(arguments) == 0
    content = json.loads(results.read_text())
    assert [one["method"] for one in content["measured"]] == ["full", "lora"]
    for one in content["measured"]:
        assert one["tool"] == plan.OURS
        assert one["useful_per_second"] > 0
        assert one["padding"] < 0.01
        assert one["covered"] == pytest.approx(1, abs=1e-3)
        assert one["peak_bytes"] > one["mlx_peak_bytes"] > 0


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.skipif(not INSTALLED, reason="needs python -m benchmarks.peers.setup")
def test_installed_peers_are_measured(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = ["--quick", "--without-ours", "--methods", "lora", "--split"]
    arguments += ["--peers", *INSTALLED]
    assert against_peers.main([*arguments, "--json", str(results)]) == 0
    found = json.loads(results.read_text())["measured"]
    split = [one for one in found if one["tool"] == SPLIT.name]
    assert [one["tool"] for one in found if one not in split] == INSTALLED
    assert all(one["covered"] > 0.99 for one in split)
    for one in found:
        assert one["useful_per_second"] > 0
        assert 0 < one["covered"] <= 1
        assert one["peak_bytes"] > one["mlx_peak_bytes"] > 0
