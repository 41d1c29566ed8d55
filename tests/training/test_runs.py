"""Whole runs of the training program, in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cptstudio import durable
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.rows import Batch
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.lengths import Length
from cptstudio.lm import loading
from cptstudio.lm.description import describe_model
from cptstudio.lm.identity import model_hash
from cptstudio.run_files import (
    CHECKPOINTS,
    DOCUMENT_SUMS,
    METRICS,
    SAMPLES,
    RunConfig,
    checkpoints_of,
    read_config,
    read_manifest,
    read_result,
    reserve,
)
from cptstudio.run_rows import EVALUATION, TRAIN
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.training import checkpoints, loop
from cptstudio.training.accumulation import accumulate
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.defaults import default_learning_rate
from cptstudio.training.evaluation import NO_TEXT
from cptstudio.training.fitting import completed
from cptstudio.training.loop import Ending
from cptstudio.training.setup import Setup, set_up
from cptstudio.training.step import TrainingStep
from cptstudio.training.stop_requests import StopRequest
from cptstudio.training.training_data import open_training_data
from cptstudio.verdicts import verdict_of
from cptstudio.workspace import Workspace
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare
from tests.training.trainer_process import events, held_rows

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def keep_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program moves TMPDIR for its kernels; put it back after each test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def train(directory: Path, **options: Any) -> Ending:
    return ContinuedPretraining(directory, StopRequest(), **options).run()


def final_weights(directory: Path) -> dict[str, np.ndarray]:
    return load_file(checkpoints_of(directory)[-1] / "model.safetensors")


@pytest.fixture(scope="module")
def plain(workspace: Workspace) -> Path:
    """A complete run of twelve steps; tests that change it copy it."""
    directory = prepare(workspace, "plain", evaluation={"every": "4 steps", "max_tokens": 300})
    assert train(directory).outcome == "completed"
    return directory


def test_a_run_leaves_rows_checkpoints_and_a_result(plain: Path) -> None:
    rows = read_json_lines(plain / METRICS).records
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    steps = [row["step"] for row in rows if row["kind"] == TRAIN]
    assert steps == list(range(1, 13))
    assert [row["step"] for row in rows if row["kind"] == EVALUATION] == [0, 4, 8, 12]
    trained = [row for row in rows if row["kind"] == TRAIN]
    for row in trained:
        for name in ("loss", "gradient_norm", "step_seconds", "memory_peak"):
            assert row[name] > 0
    assert trained[-1]["tokens_seen"] == sum(row["tokens"] for row in trained)
    # What an evaluation or a checkpoint took is its own, not that of the step after it.
    peaks = [row["memory_peak"] for row in trained]
    assert max(peaks[4:]) < 1.5 * min(peaks[4:])
    assert all(row["memory_peak"] > 0 for row in rows if row["kind"] == EVALUATION)
    result = read_result(plain)
    assert result is not None
    assert (result.outcome, result.step, result.planned_steps) == ("completed", 12, 12)
    assert result.checkpoint == "step-00000012" and result.skipped_steps == 0


def test_a_run_tells_what_it_learned_and_how_sure_that_is(plain: Path) -> None:
    """On a real run: the changes are those of its rows, the sums add up to them."""
    rows = [row for row in read_json_lines(plain / METRICS).records if row["kind"] == EVALUATION]
    assert "changes" not in rows[0]
    lines = read_json_lines(plain / DOCUMENT_SUMS).records
    assert [line["step"] for line in lines] == [row["step"] for row in rows]
    for row, line in zip(rows, lines, strict=True):
        for name, one in line["corpora"].items():
            figures = row["corpora"][name]
            assert sum(one["bytes"]) == figures["bytes"]
            assert sum(one["nats"]) / figures["tokens"] == pytest.approx(figures["loss"], abs=1e-4)
            assert len(set(one["documents"])) == figures["documents"]
    for row in rows[1:]:
        start = row["changes"]["start"]
        for role in ("domain", "general"):
            key = f"{role}_bits_per_byte"
            assert start[role]["value"] == pytest.approx(row[key] / rows[0][key] - 1, abs=1e-6)
            if start[role]["low"] is not None:
                assert start[role]["low"] < start[role]["value"] < start[role]["high"]
    verdict = verdict_of(rows, alive=False)
    # It is measured on 300 tokens.
    assert verdict is not None and verdict.parts[0].kind == "too little"


def test_an_evaluation_costs_what_was_asked_and_runs_of_before_go_on_as_they_were(
    workspace: Workspace, tmp_path: Path, plain: Path
) -> None:
    rows = [row for row in read_json_lines(plain / METRICS).records if row["kind"] == EVALUATION]
    for row in rows:
        assert all(200 <= one["tokens"] <= 330 for one in row["corpora"].values())
    # What a run of before was prepared with has no such field.
    tree = durable.read_json(plain / "config.json")
    assert tree.pop("held_out") == "windows"
    former = RunConfig.model_validate(tree)
    assert former.held_out == "documents"
    for chosen in open_training_data(former).evaluation:
        whole = open_corpus(workspace.corpus(chosen.name)).held_out_documents(
            "validation", former.corpora[0].tokenizer_hash, max_tokens=300
        )
        assert [one.number for one in chosen.documents] == [one.number for one in whole]


def test_an_evaluation_measures_both_sides_and_is_kept_in_the_manifest(plain: Path) -> None:
    rows = [row for row in read_json_lines(plain / METRICS).records if row["kind"] == EVALUATION]
    for row in rows:
        domain, general = row["corpora"][DOMAIN], row["corpora"][GENERAL]
        assert (domain["role"], general["role"]) == ("domain", "replay")
        assert row["domain_bits_per_byte"] == pytest.approx(domain["bits_per_byte"])
        assert row["general_bits_per_byte"] == pytest.approx(general["bits_per_byte"])
        assert domain["perplexity"] == pytest.approx(np.exp(domain["loss"]))
    manifest = read_manifest(checkpoints_of(plain)[-1])
    assert manifest.domain_bits_per_byte == rows[-1]["domain_bits_per_byte"]
    assert rows[-1]["domain_bits_per_byte"] < rows[0]["domain_bits_per_byte"]


def test_only_the_last_and_the_best_checkpoints_stay(workspace: Workspace) -> None:
    directory = prepare(
        workspace,
        "retention",
        length="16 steps",
        # So high a rate that the first checkpoint is the best.
        optimizer={"learning_rate": 0.5},
        guards={"skip_spikes": False},
        evaluation={"every": "2 steps", "max_tokens": 300},
        checkpoints={"every": "2 steps", "keep_last": 2, "keep_every": 6},
    )
    train(directory)
    values = {
        row["step"]: row["domain_bits_per_byte"]
        for row in read_json_lines(directory / METRICS).records
        if row["kind"] == EVALUATION and row["step"]
    }
    best = min(values, key=lambda step: values[step])
    kept = {read_manifest(path).step for path in checkpoints_of(directory)}
    assert kept == {6, 12, 14, 16, best}
    result = read_result(directory)
    assert result is not None and result.best_checkpoint == f"step-{best:08d}"


def test_micro_batches_weighted_by_tokens_equal_one_large_batch(workspace: Workspace) -> None:
    directory = prepare(workspace, "micro-batches", batch={"size": 6})
    setup = set_up(read_config(directory))
    [batch] = setup.data.order.micro_batches(0, 6, rows=6)
    nats, tokens, whole = accumulate(setup.gradient_step, [(batch, 1)])
    # Micro-batches of different sizes: one row, three rows, two rows.
    parts = [
        (Batch(batch.inputs[rows], batch.targets[rows]), 1)
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6))
    ]
    part_nats, part_tokens, summed = accumulate(setup.gradient_step, parts)
    assert part_tokens == tokens == batch.targets.size
    assert part_nats.item() == pytest.approx(nats.item(), rel=1e-6)
    for name, gradient in whole.items():
        difference = np.abs(np.array(summed[name]) - np.array(gradient)).max()
        assert difference <= 1e-5 * np.abs(np.array(gradient)).max(), name


def test_prompts_are_completed_at_each_evaluation_with_the_same_seed(workspace: Workspace) -> None:
    directory = prepare(
        workspace,
        "prompts",
        length="4 steps",
        optimizer={"learning_rate": 1e-9},
        evaluation={
            "every": "2 steps",
            "max_tokens": 300,
            "prompts": ["def ", "import"],
            "sample_tokens": 8,
        },
    )
    assert train(directory).outcome == "completed"
    samples = read_json_lines(directory / SAMPLES).records
    assert [(s["step"], s["index"]) for s in samples] == [(s, i) for s in (0, 2, 4) for i in (0, 1)]
    by_prompt = [{s["completion"] for s in samples if s["index"] == index} for index in (0, 1)]
    # With a rate of next to nothing the model stays, and so must what it says.
    assert [len(texts) for texts in by_prompt] == [1, 1]
    assert all(text for texts in by_prompt for text in texts)


def test_early_stopping_ends_the_run_as_completed(workspace: Workspace) -> None:
    directory = prepare(
        workspace,
        "early",
        length="200 steps",
        optimizer={"learning_rate": 0.5},
        guards={"skip_spikes": False},
        evaluation={"every": "5 steps", "max_tokens": 300, "early_stopping": 2},
        checkpoints={"every": "100 steps"},
    )
    ending = train(directory)
    assert ending.outcome == "completed" and "early" in ending.reason
    result = read_result(directory)
    assert result is not None and result.step < 200
    assert checkpoints_of(directory)[-1].name == f"step-{result.step:08d}"


# --- guards ----------------------------------------------------------------------------------


def poisoned(workspace: Workspace, directory: Path, token: int) -> None:
    """Make the base model overflow wherever a token is read, and the run accept that model."""
    model = directory.parent / f"{directory.name}-model"
    shutil.copytree(workspace.base_model("toy"), model)
    weights = load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = np.inf
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_path": str(model), "model_hash": model_hash(model)}
    (directory / "config.json").write_text(json.dumps(config))


@pytest.fixture
def weights_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a poisoned model in, which loading refuses: the guards stand for what overflows."""
    for module in (loading, checkpoints):
        monkeypatch.setattr(module, "check_weights", lambda values, where: None)


def batches_by_token(directory: Path, updates: int) -> dict[int, list[int]]:
    """Which of the first updates each token is an input of."""
    config = read_config(directory)
    order = open_training_data(config).order
    size = order.batches_per_update
    found: dict[int, list[int]] = {}
    for index in range(updates):
        batches = (order.batch(number) for number in range(index * size, (index + 1) * size))
        inputs = np.concatenate([batch.inputs.ravel() for batch in batches])
        for token in np.unique(inputs).tolist():
            found.setdefault(token, []).append(index)
    return found


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With an input embedding of its own, a poisoned token harms only where it is read."""
    return make_workspace(tmp_path_factory.mktemp("untied"), "llama")


@pytest.mark.usefixtures("weights_unchecked")
def test_a_batch_that_is_not_finite_is_skipped_counted_and_shown(
    untied: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = prepare(untied, "poisoned", length="20 steps")
    places = batches_by_token(directory, 20)
    token = next(token for token, where in places.items() if len(where) == 2)
    poisoned(untied, directory, token)
    ending = train(directory)
    assert ending.outcome == "completed"
    skipped = [index + 1 for index in places[token]]
    rows = [row for row in read_json_lines(directory / METRICS).records if row["kind"] == TRAIN]
    assert [row["step"] for row in rows if "skipped" in row] == skipped
    for row in rows:
        assert (row["loss"] == "NaN") == (row["step"] in skipped)
    assert [event["step"] for event in events(directory, "skipped")] == skipped
    assert f"Step {skipped[0]} was skipped: loss is not finite." in capsys.readouterr().out
    result = read_result(directory)
    assert result is not None and result.skipped_steps == 2
    weights = final_weights(directory)
    weights["model.embed_tokens.weight"][token] = 0
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.usefixtures("weights_unchecked")
def test_after_several_skips_in_a_row_the_run_fails_with_its_last_good_checkpoint(
    untied: Workspace,
) -> None:
    directory = prepare(untied, "hopeless", length="20 steps", guards={"stop_after_skips": 3})
    places = batches_by_token(directory, 20)
    token = max(places, key=lambda token: len(places[token]))
    poisoned(untied, directory, token)
    ending = train(directory)
    assert ending.outcome == "failed" and "3 steps in a row" in ending.reason
    result = read_result(directory)
    assert result is not None and result.outcome == "failed" and result.skipped_steps == 3


@pytest.mark.usefixtures("weights_unchecked")
def test_a_run_of_nothing_but_skipped_steps_has_not_completed(untied: Workspace) -> None:
    changes = {"evaluation": {"prompts": ["import os"], "sample_tokens": 3}}
    directory = prepare(untied, "nothing", length="2 steps", **changes)
    model = directory.parent / "nothing-model"
    poisoned(untied, directory, 0)
    weights = load_file(model / "model.safetensors")
    weights["model.embed_tokens.weight"][:] = np.inf
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((directory / "config.json").read_text())
    config["model_hash"] = model_hash(model)
    (directory / "config.json").write_text(json.dumps(config))
    ending = train(directory)
    assert ending.outcome == "failed"
    assert ending.reason.startswith("Nothing was learned: all 2 steps were skipped.")
    samples = read_json_lines(directory / SAMPLES).records
    assert samples and all(sample["completion"] == NO_TEXT for sample in samples)


def test_weights_that_are_no_numbers_are_neither_trained_nor_resumed(untied: Workspace) -> None:
    directory = prepare(untied, "damaged", length="4 steps", checkpoints={"every": "2 steps"})
    token = min(batches_by_token(directory, 1))
    poisoned(untied, directory, token)
    with pytest.MonkeyPatch.context() as patched:
        for module in (loading, checkpoints):
            patched.setattr(module, "check_weights", lambda values, where: None)
        assert train(directory).outcome == "completed"
    ending = train(directory, resume="step-00000002")
    assert ending.outcome == "failed"
    assert "damaged-model is damaged: model.embed_tokens.weight holds NaN" in ending.reason
    with pytest.MonkeyPatch.context() as patched:
        # With a good base it is the checkpoint that is not taken.
        patched.setattr(loading, "check_weights", lambda values, where: None)
        ending = train(directory, resume="step-00000002")
    assert ending.outcome == "failed"
    assert "step-00000002 is damaged: model.embed_tokens.weight holds NaN" in ending.reason


class StepAsOnAGpu(TrainingStep):
    """Runs one step ahead and lets the device decide, as on a GPU."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.ahead = 1


@pytest.mark.slow
@pytest.mark.usefixtures("weights_unchecked")
def test_one_step_ahead_as_on_a_gpu_the_rows_are_the_same(
    untied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    common: dict[str, Any] = {
        "length": "40 steps",
        "guards": {"spike_window": 16, "spike_sigma": 2.0},
        "checkpoints": {"every": "7 steps", "keep_every": 7},
        "evaluation": {"every": "10 steps", "max_tokens": 300},
    }
    waiting = prepare(untied, "waiting", **common)
    places = batches_by_token(waiting, 40)
    token = next(token for token, where in places.items() if len(where) == 2)
    poisoned(untied, waiting, token)
    assert train(waiting).outcome == "completed"
    monkeypatch.setattr(loop, "TrainingStep", StepAsOnAGpu)
    ahead = prepare(untied, "ahead", **common)
    poisoned(untied, ahead, token)
    assert train(ahead).outcome == "completed"
    skipped = [(row["step"], row.get("skipped")) for row in held_rows(waiting)]
    assert skipped == [(row["step"], row.get("skipped")) for row in held_rows(ahead)]
    assert len([reason for _, reason in skipped if reason]) >= 2
    resumed = copy_of(ahead, "ahead-resumed")
    assert train(resumed, resume="step-00000021").outcome == "completed"
    assert held_rows(resumed) == held_rows(ahead)
    for name, value in final_weights(ahead).items():
        assert final_weights(resumed)[name].tobytes() == value.tobytes(), name


# --- resume ----------------------------------------------------------------------------------


def copy_of(directory: Path, name: str) -> Path:
    copy = directory.parent / name
    shutil.copytree(directory, copy)
    (copy / "result.json").unlink()
    return copy


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_mistyped_checkpoint_leaves_a_finished_run_finished(plain: Path) -> None:
    before = {path: path.read_bytes() for path in plain.rglob("*") if path.is_file()}
    for name in ("step-9999", "../plain", "step-00000012/"):
        with pytest.raises(UserError, match=r"no checkpoint .* Existing checkpoints: step-"):
            ContinuedPretraining(plain, StopRequest(), resume=name)
    after = {path: path.read_bytes() for path in plain.rglob("*") if path.is_file()}
    assert after == before


def test_a_base_model_that_moved_is_not_there(plain: Path, workspace: Workspace) -> None:
    before = (plain / "result.json").read_bytes()
    model = workspace.base_model("toy")
    moved = model.rename(model.with_name("moved"))
    try:
        ending = train(plain, resume="step-00000012")
    finally:
        moved.rename(model)
    assert ending.outcome == "failed"
    assert ending.reason.startswith(f"The base model folder {model} does not exist (moved or")
    # It was complete, and nothing was trained since.
    assert (plain / "result.json").read_bytes() == before


def test_a_complete_run_stays_so_when_a_resume_from_a_damaged_checkpoint_fails(
    plain: Path,
) -> None:
    directory = copy_of(plain, "complete-damaged")
    shutil.copy(plain / "result.json", directory)
    rows = (directory / "metrics.jsonl").read_bytes()
    older, last = checkpoints_of(directory)[-2:]
    damage(older / "training_state" / "optimizer.safetensors")
    ending = train(directory, resume=older.name)
    assert ending.outcome == "failed" and older.name in ending.reason
    assert (directory / "result.json").read_bytes() == (plain / "result.json").read_bytes()
    assert (directory / "metrics.jsonl").read_bytes() == rows
    # The first step takes the result away, and another one comes.
    assert train(directory, resume=last.name).outcome == "completed"
    assert (directory / "result.json").read_bytes() != (plain / "result.json").read_bytes()


def test_a_damaged_checkpoint_is_named_and_an_older_one_needs_the_users_word(plain: Path) -> None:
    directory = copy_of(plain, "damaged")
    last, older = checkpoints_of(directory)[-1], checkpoints_of(directory)[-2]
    damage(last / "training_state" / "optimizer.safetensors")
    ending = train(directory, resume=NEWEST)
    assert ending.outcome == "failed"
    assert last.name in ending.reason and "optimizer.safetensors" in ending.reason
    assert older.name in ending.reason and "--accept-older" in ending.reason
    assert train(directory, resume=NEWEST, accept_older=True).outcome == "completed"
    assert final_weights(directory).keys() == final_weights(plain).keys()
    for name, value in final_weights(plain).items():
        assert final_weights(directory)[name].tobytes() == value.tobytes()
    aside = [path.name for path in (directory / CHECKPOINTS).iterdir() if "damaged" in path.name]
    assert len(aside) == 1 and aside[0].startswith(f"damaged-{last.name}")


def test_resumed_from_a_named_older_checkpoint_the_run_is_the_same(plain: Path) -> None:
    directory = copy_of(plain, "older")
    older = checkpoints_of(directory)[0]
    assert train(directory, resume=older.name).outcome == "completed"
    assert held_rows(directory) == held_rows(plain)
    with pytest.raises(UserError, match="complete"):
        train(directory, resume=NEWEST)
    with pytest.raises(UserError, match="no checkpoint 'step-77'"):
        train(directory, resume="step-77")


# --- forks -----------------------------------------------------------------------------------


def test_a_fork_starts_from_the_chosen_checkpoint_and_records_its_parent(
    workspace: Workspace, plain: Path
) -> None:
    changes = {"length": "1 steps", "optimizer.learning_rate": None, "schedule.warmup": None}
    config = TrainingManager(workspace).fork_config("plain", None, "fork", changes)
    assert config.settings.optimizer.learning_rate is None
    config, fit = completed(workspace, config)
    assert fit is not None and fit.fits
    assert config.settings.optimizer.learning_rate == default_learning_rate(
        describe_model(workspace.base_model("toy")).parameters, "full", "adamw"
    )
    assert config.settings.schedule.warmup == Length(1, "steps")
    assert config.settings.batch == read_config(plain).settings.batch
    directory = workspace.run("fork")
    reserve(directory, config)
    parent = read_config(directory).parent
    assert parent is not None and Path(parent.checkpoint) == checkpoints_of(plain)[-1]
    assert train(directory).outcome == "completed"
    first = held_rows(directory)[0]
    last = [row for row in held_rows(plain) if row["kind"] == EVALUATION][-1]
    assert first["domain_bits_per_byte"] == last["domain_bits_per_byte"]


def test_memory_that_does_not_suffice_is_recognized() -> None:
    """What is said and offered then is in `test_simulated_deaths`."""
    from cptstudio.device_failures import sign_of

    sign = sign_of(RuntimeError("[malloc] Unable to allocate 99999999999 bytes."))
    assert sign is not None and (sign.cause, sign.says) == ("memory", "Memory ran out")
    assert sign_of(RuntimeError("something else")) is None
