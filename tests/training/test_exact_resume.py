"""Resume is exact: killed at random steps and resumed, a run ends as if it had never stopped."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.row_samples import sample_rows
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.run_files import checkpoints_of, read_config, read_result
from cptstudio.training.run_integrity import check_tokenizer
from cptstudio.training.training_data import open_training_data
from cptstudio.workspace import Workspace
from tests.training.small_workspace import CHAT, GENERAL, TALK, add_conversations, prepare
from tests.training.trainer_process import held_rows, kill_after_rows, run

STEPS = 24
IN_EVERY_TEST = ("full-muon-blocks", "lora-conversations")
CASES: dict[str, dict[str, Any]] = {
    "full-adamw": {"method": {"kind": "full"}, "optimizer": {"learning_rate": 3e-3}},
    # As long contexts are trained.
    "full-muon-blocks": {
        "method": {"kind": "full"},
        "optimizer": {"name": "muon", "learning_rate": 3e-3},
        "compute": {"long_attention": True, "gradient_checkpointing": True},
    },
    "lora-adamw": {
        "method": {"kind": "lora", "rank": 4, "dropout": 0.2},
        "optimizer": {"learning_rate": 1e-2},
    },
    # Rows of conversations, of which the answers count, and of plain text, of which all does.
    "lora-conversations": {
        "model": {"path": CHAT},
        "data": {
            "corpora": [{"name": TALK}, {"name": GENERAL, "role": "replay"}],
            "replay_share": 0.25,
            "sequence_length": 64,
        },
        "method": {"kind": "lora", "rank": 4, "dropout": 0.2},
        "optimizer": {"learning_rate": 1e-2},
    },
    "lora-muon": {
        "method": {"kind": "lora", "rank": 4, "dropout": 0.2, "train_embeddings": True},
        "optimizer": {"name": "muon", "learning_rate": 1e-2},
    },
}


def arrays_below(checkpoint: Path) -> dict[str, np.ndarray]:
    """Every array of a checkpoint: weights and optimizer state."""
    return {
        f"{path.relative_to(checkpoint)}:{name}": value
        for path in sorted(checkpoint.rglob("*.safetensors"))
        for name, value in load_file(path).items()
    }


def assert_same_run(left: Path, right: Path) -> None:
    a, b = checkpoints_of(left)[-1], checkpoints_of(right)[-1]
    assert a.name == b.name
    first, second = arrays_below(a), arrays_below(b)
    assert first.keys() == second.keys()
    assert any("optimizer" in name for name in first)
    different = [name for name in first if first[name].tobytes() != second[name].tobytes()]
    assert different == []
    assert held_rows(left) == held_rows(right)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    # The others belong to make bench: each takes 20 s.
    [
        pytest.param(case, marks=[] if case in IN_EVERY_TEST else pytest.mark.bench)
        for case in CASES
    ],
)
def test_killed_at_random_steps_and_resumed_it_is_the_uninterrupted_run(
    workspace: Workspace, case: str
) -> None:
    changes: dict[str, Any] = {
        "length": f"{STEPS} steps",
        "batch": {"size": 2, "gradient_accumulation_steps": 2},
        "evaluation": {"every": "4 steps", "max_tokens": 300, "prompts": ["def "]},
        "checkpoints": {"every": "3 steps"},
        "guards": {"spike_window": 16},
        **CASES[case],
    }
    if case == "lora-conversations":
        add_conversations(workspace)
    whole = prepare(workspace, f"whole-{case}", **changes)
    status, output = run(whole)
    assert status == 0, output
    killed = prepare(workspace, f"killed-{case}", **changes)
    chance = random.Random(case)
    kills = [kill_after_rows(killed, chance.randint(3, 14))]
    kills.append(kill_after_rows(killed, chance.randint(3, 8), "--resume"))
    assert any(kills)
    status, output = run(killed, "--resume")
    assert status == 0, output
    assert_same_run(whole, killed)
    result = read_result(killed)
    assert result is not None and result.outcome == "completed" and result.step == STEPS


@pytest.mark.slow
def test_conversations_go_on_in_the_template_that_they_are_in(workspace: Workspace) -> None:
    add_conversations(workspace)
    of_talks = {"corpora": [{"name": TALK}], "sequence_length": 256, "packing": "decompose"}
    directory = prepare(workspace, "template", model={"path": CHAT}, data=of_talks)
    config = read_config(directory)
    data = open_training_data(config)
    [measured] = data.evaluation
    store = open_corpus(workspace.corpus(TALK)).token_store()
    counted = store.manifest.counted
    assert counted is not None and data.order.tokens_per_epoch == counted["train"]
    # Whole conversations, of which the answers are measured, with what ends each.
    assert 0 < sum(one.measured for one in measured.documents) <= counted["validation"]
    answers = [
        store.document_tokens(int(place))[store.document_counts(int(place))]
        for place in store.documents_of("validation")
    ]
    assert {int(one[-1]) for one in answers} == {store.tokenizer.eos}
    [row] = sample_rows(
        open_corpus(workspace.corpus(TALK)),
        load_tokenizer(workspace.base_model(CHAT)),
        rows=1,
        context_length=256,
    )
    for part in row.parts:
        assert part.counted
        shown = [part.text[begin:stop] for begin, stop in part.counted]
        assert all(re.fullmatch(r"It is \d+\.<\|endoftext\|>", one) for one in shown)
    template = workspace.base_model(CHAT) / "chat_template.jinja"
    former = template.read_text(encoding="utf-8")
    template.write_text(former.replace("assistant", "bot"), encoding="utf-8")
    try:
        with pytest.raises(UserError, match="is not the one that this run's conversations are in"):
            check_tokenizer(config, None)
        # The corpus is not tokenized for it, either.
        with pytest.raises(UserError, match="'talk' is not tokenized for this model"):
            prepare(workspace, "other", model={"path": CHAT}, data=of_talks)
        template.unlink()
        with pytest.raises(UserError, match="chat has no chat template"):
            prepare(workspace, "none", model={"path": CHAT}, data=of_talks)
    finally:
        template.write_text(former, encoding="utf-8")
    check_tokenizer(config, None)
