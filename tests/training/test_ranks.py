"""Several ranks train what one would: the same rows, sums, updates, files; and stop together."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.machines import rank_keeper
from cptstudio.run_files import checkpoints_of, read_config, read_result
from cptstudio.runs.launching import RANKS_MODULE, TRAINER_MODULE
from cptstudio.session_settings import SessionSettings
from cptstudio.training.continued_pretraining import ContinuedPretraining
from cptstudio.training.ranks import check_alike
from cptstudio.training.stop_requests import BY_YOU, ON_REQUEST, StopRequest
from cptstudio.training.training_data import row_order
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare
from tests.training.test_exact_resume import arrays_below
from tests.training.trainer_process import PATIENCE, finish, held_rows, wait_until

ENVELOPE = 2e-5
"""Relative difference of losses and norms of ten steps; `benchmarks.ranks` measures some 1e-6."""


def start_ranks(directory: Path, ranks: int, *arguments: str) -> subprocess.Popen[str]:
    """Start so many ranks on this machine."""
    program = [sys.executable, "-P", "-m", RANKS_MODULE, str(directory)]
    return subprocess.Popen(
        [*program, "--ranks", str(ranks), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("packing", ["concat", "decompose"])
@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_ranks_share_out_each_row_of_an_update(
    workspace: Workspace, packing: str, ranks: int
) -> None:
    directory = prepare(
        workspace,
        f"rows-{packing}-{ranks}",
        data={
            "corpora": [{"name": "domain"}, {"name": "general", "role": "replay"}],
            "replay_share": 0.25,
            "sequence_length": 32,
            "packing": packing,
        },
        batch={"size": 2, "gradient_accumulation_steps": 2},
    )
    config = read_config(directory)
    corpora = [open_corpus(Path(record.path)) for record in config.corpora]
    order = row_order(config.settings, corpora, config.corpora[0].tokenizer_hash)

    def rows(rank: int, of: int) -> dict[int, bytes]:
        batches = list(order.micro_batches(4, 8, 2, rank, of))
        assert all(batch.places is not None for batch in batches)
        return {
            int(place): row.tobytes()
            for batch in batches
            for place, row in zip(np.array(batch.places), batch.inputs, strict=True)
        }

    shares = [rows(rank, ranks) for rank in range(ranks)]
    together = {place: row for share in shares for place, row in share.items()}
    assert together == rows(0, 1)
    assert sum(len(share) for share in shares) == len(together)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_shared_stop_is_true_once_all_ranks_know() -> None:
    stop = StopRequest()
    stop.share()
    stop.request(BY_YOU)
    assert not stop and stop.asked == BY_YOU
    stop.agree(None)
    assert not stop
    stop.agree(ON_REQUEST)
    stop.agree(None)
    assert stop and stop.reason == ON_REQUEST


def test_what_a_rank_has_otherwise_is_told_by_machine_and_value() -> None:
    same = {"mlx": "0.32.4", "python": "3.11.2"}
    check_alike("versions", [same, same], ["anna", "berta"])
    with pytest.raises(UserError) as found:
        check_alike("versions", [same, same | {"mlx": "0.31.0"}], ["anna", "berta"])
    assert str(found.value) == (
        "All ranks need the same versions. On berta (rank 1), that of mlx is '0.31.0'; on anna "
        "(rank 0) it is '0.32.4'."
    )


@pytest.mark.slow
def test_two_ranks_train_what_one_does_and_one_goes_on_from_their_checkpoint(
    workspace: Workspace,
) -> None:
    changes: dict[str, Any] = {
        "length": "10 steps",
        "batch": {"size": 3, "gradient_accumulation_steps": 2},
        "method": {"kind": "lora", "rank": 4, "dropout": 0.2},
        "optimizer": {"learning_rate": 1e-2},
        "evaluation": {"every": "5 steps", "max_tokens": 300, "prompts": ["def ", "class"]},
        "checkpoints": {"every": "5 steps", "keep_last": 9},
    }
    alone, together = (prepare(workspace, name, **changes) for name in ("alone", "together"))
    assert ContinuedPretraining(alone, StopRequest()).run().outcome == "completed"
    status, output = finish(start_ranks(together, 2))
    assert status == 0, output
    for one, two in zip(held_rows(alone), held_rows(together), strict=True):
        assert one.keys() == two.keys() and one["step"] == two["step"]
        assert one["tokens_seen"] == two["tokens_seen"]
        for name in ("loss", "gradient_norm", "domain_bits_per_byte", "general_bits_per_byte"):
            if name in one:
                assert one[name] == pytest.approx(two[name], rel=ENVELOPE)
    a, b = (arrays_below(run / "checkpoints" / "step-00000010") for run in (alone, together))
    assert {n: (v.shape, v.dtype) for n, v in a.items()} == {
        n: (v.shape, v.dtype) for n, v in b.items()
    }
    # From a checkpoint of two ranks, one goes on.
    resumed = ContinuedPretraining(together, StopRequest(), resume="step-00000005").run()
    assert resumed.outcome == "completed"
    assert [row["step"] for row in held_rows(together)] == [row["step"] for row in held_rows(alone)]
    result = read_result(together)
    assert result is not None and result.step == 10 and result.session == 1
    own = together / "ranks" / "rank-1"
    assert (own / "train.log").is_file() and not (own / "checkpoints").exists()


@pytest.mark.slow
def test_a_killed_rank_is_named_nothing_is_left_and_the_rest_goes_on(workspace: Workspace) -> None:
    directory = prepare(workspace, "killed-rank", length="100000 steps", evaluation={"every": None})
    launcher = start_ranks(directory, 2)
    wait_until(lambda: bool(checkpoints_of(directory)), launcher)
    everything = psutil.Process(launcher.pid).children(recursive=True)
    trainers = [
        one
        for one in everything
        if TRAINER_MODULE in one.cmdline() and rank_keeper.__name__ not in one.cmdline()
    ]
    pids = {one.pid for one in trainers}
    victim = next(one for one in trainers if one.ppid() not in pids)  # The others are guards.
    rank = victim.environ()["MLX_RANK"]
    victim.send_signal(signal.SIGKILL)
    status, output = finish(launcher)
    assert status == 1, output
    _, left = psutil.wait_procs(everything, timeout=PATIENCE)
    assert left == []
    result, newest = read_result(directory), checkpoints_of(directory)[-1]
    assert result is not None and result.outcome == "failed"
    assert result.reason.startswith(f"Rank {rank} on ")
    assert result.planned_steps == 100000
    assert result.checkpoint == newest.name and newest.name in result.reason
    step = int(newest.name.removeprefix("step-"))
    given = SessionSettings.model_validate({"length": f"{step + 1} steps"})
    trainer = ContinuedPretraining(directory, StopRequest(), resume="", given=given)
    assert trainer.run().outcome == "completed"
