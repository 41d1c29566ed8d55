"""Token ids for which the model has no rows are refused before anything starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlx_lm
import numpy as np
import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.evaluation.completion import Completion, prompt_tokens
from cptstudio.evaluation.model_requests import Prompt, Sampling
from cptstudio.lm.description import describe_model
from cptstudio.lm.identity import model_hash
from cptstudio.lm.likelihood import score_documents
from cptstudio.lm.loading import load_for_inference
from cptstudio.lm.parameters import network_rows
from cptstudio.lm.vocabulary import embedding_rows
from cptstudio.run_files import CorpusRecord, RunConfig, read_config, write_record
from cptstudio.settings import parse_settings
from cptstudio.training.continued_pretraining import ContinuedPretraining
from cptstudio.training.guards import Limits
from cptstudio.training.planning import make_plan
from cptstudio.training.setup import set_up
from cptstudio.training.step import TrainingStep
from cptstudio.training.stop_requests import StopRequest
from cptstudio.workspace import Workspace
from tests.toy_models import VOCABULARY_SIZE, make_toy_model
from tests.training.small_workspace import prepare, small_settings

THINK = {VOCABULARY_SIZE: "<think>", VOCABULARY_SIZE + 1: "</think>"}
SAID = (
    rf"{VOCABULARY_SIZE} \('<think>'\), {VOCABULARY_SIZE + 1} \('</think>'\), but the model's "
    rf"embedding has {VOCABULARY_SIZE} rows"
)


def with_more_tokens(model: Path, target: Path, template: str | None = None) -> Path:
    """The model with two tokens more in its tokenizer and no row more in its embedding."""
    shutil.copytree(model, target)
    path = target / "tokenizer.json"
    content = json.loads(path.read_text())
    for id, text in THINK.items():
        content["added_tokens"].append(
            {"id": id, "content": text, "special": False, "normalized": False}
            | {"single_word": False, "lstrip": False, "rstrip": False}
        )
    path.write_text(json.dumps(content))
    if template is not None:
        (target / "chat_template.jinja").write_text(template)
    return target


@pytest.fixture(scope="module")
def thinking(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace with a model "thinking" and the corpora "thoughts" and "plain"."""
    model = with_more_tokens(
        workspace.base_model("toy"), workspace.base_model("thinking"), "<think>{{ messages }}"
    )
    for name, mark in (("thoughts", "<think>"), ("plain", "")):
        folder = tmp_path_factory.mktemp(name)
        for number in range(12):
            text = f"{mark}Is {number} large?{mark.replace('<', '</')} It is {number}. " * 9
            (folder / f"{number}.txt").write_text(text)
        build_corpus(
            workspace.corpus(name),
            [folder],
            BuildSettings(near_dedup=False, validation=0.1, test=0),
            model_path=model,
        )
    return workspace


def settings(corpus: str, **changes: object) -> dict[str, object]:
    data = {"corpora": [{"name": corpus}], "sequence_length": 32}
    return small_settings(model={"path": "thinking"}, data=data, **changes)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_think_tokens_without_rows_are_refused_by_the_plan(
    thinking: Workspace, method: str
) -> None:
    tree = settings("thoughts", method={"kind": method})
    with pytest.raises(UserError) as caught:
        make_plan(thinking, parse_settings(tree))
    (problem,) = caught.value.problems
    assert "The corpus 'thoughts' contains the token ids" in problem
    assert f"{VOCABULARY_SIZE} ('<think>'), {VOCABULARY_SIZE + 1} ('</think>')" in problem
    assert f"has {VOCABULARY_SIZE} rows: ids 0 to {VOCABULARY_SIZE - 1}." in problem


def test_prompts_are_looked_at_too_and_the_template_is_told(thinking: Workspace) -> None:
    plan = make_plan(thinking, parse_settings(settings("plain")))
    (warning,) = [one.sentence for one in plan.warnings if "chat template" in one.sentence]
    assert "'<think>'" in warning
    evaluation = {"prompts": ["a number", "</think>Now"]}
    with pytest.raises(UserError) as caught:
        make_plan(thinking, parse_settings(settings("plain", evaluation=evaluation)))
    (problem,) = caught.value.problems
    assert problem.startswith("The prompt '</think>Now' contains the token id")


def old_run(thinking: Workspace, name: str, corpus: str) -> Path:
    """A run as a former version prepared it, which compared nothing."""
    config = read_config(prepare(thinking, name))
    opened = open_corpus(thinking.corpus(corpus))
    store = opened.token_store()
    model = thinking.base_model("thinking")
    changed = {
        "model_path": str(model),
        "model_hash": model_hash(model),
        "settings": config.settings.model_copy(
            update={
                "data": parse_settings(settings(corpus)).data.model_copy(
                    update={"replay_share": 0.0}
                )
            }
        ),
        "corpora": (
            CorpusRecord(
                name=corpus,
                path=str(opened.path),
                fingerprint=store.fingerprint,
                tokenizer_hash=store.tokenizer.hash,
            ),
        ),
    }
    write_record(thinking.run(name) / "config.json", config.model_copy(update=changed))
    return thinking.run(name)


def test_a_run_prepared_by_a_former_version_is_refused_by_the_trainer(thinking: Workspace) -> None:
    directory = old_run(thinking, "former", "thoughts")
    ending = ContinuedPretraining(directory, StopRequest()).run()
    assert ending.outcome == "failed"
    assert "The corpus 'thoughts' contains the token ids" in ending.reason
    assert not (directory / "metrics.jsonl").read_bytes()


def test_what_changes_under_the_trainer_does_not_reach_the_model(thinking: Workspace) -> None:
    directory = old_run(thinking, "altered", "plain")
    config: RunConfig = read_config(directory)
    step = TrainingStep(set_up(config))
    store = open_corpus(thinking.corpus("plain")).token_store()
    path = store.folder / "tokens.bin"
    whole = path.read_bytes()
    try:
        with path.open("r+b") as file:
            file.write(b"\xff" * len(whole))
        with pytest.raises(UserError, match="The text of step 1 contains the token id 65535"):
            step.submit(0, 0, Limits(np.inf, np.inf))
    finally:
        with path.open("r+b") as file:
            file.write(whole)


def test_generation_and_scores_refuse_ids_without_rows(thinking: Workspace) -> None:
    loaded = load_for_inference(thinking.base_model("thinking"))
    assert loaded.embedding_rows == network_rows(loaded.model) == VOCABULARY_SIZE
    prompt = prompt_tokens(loaded, Prompt(text="<think>Well</think>"))
    with pytest.raises(UserError, match=SAID):
        Completion(loaded, prompt, Sampling(), 0, 0, lambda: False)
    chat = prompt_tokens(loaded, Prompt(chat=({"role": "user", "content": "Hello"},)))
    with pytest.raises(UserError, match="The prompt contains the token id"):
        Completion(loaded, chat, Sampling(), 0, 0, lambda: False)
    for documents, start in (([[5, VOCABULARY_SIZE]], 1), ([[5, 6]], 1 << 20), ([[5, -1]], 1)):
        with pytest.raises(UserError, match="but the model's embedding has 512 rows"):
            score_documents(loaded.model, documents, [2], start_token=start, context_length=16)


def test_the_largest_id_of_an_older_store_is_found_once_and_kept(thinking: Workspace) -> None:
    store = open_corpus(thinking.corpus("thoughts")).token_store()
    assert store.manifest.largest_token == int(store.tokens.max()) == VOCABULARY_SIZE + 1
    path = store.folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["largest_token"]
    path.write_text(json.dumps(content))
    older = open_corpus(thinking.corpus("thoughts")).token_store()
    assert older.largest_token == VOCABULARY_SIZE + 1
    kept = json.loads((store.folder / "largest_token.json").read_text())
    assert kept["largest_token"] == VOCABULARY_SIZE + 1
    assert older.tokens_beyond(VOCABULARY_SIZE) == sorted(THINK)


@pytest.mark.parametrize("name", ["llama", "qwen3-tied", "gpt_neox", "mamba"])
def test_rows_are_told_by_the_weights_also_when_they_are_packed(name: str, tmp_path: Path) -> None:
    folder = make_toy_model(name, tmp_path / "toy")
    config = json.loads((folder / "config.json").read_text())
    assert describe_model(folder).embedding_rows == VOCABULARY_SIZE
    if name == "llama":
        packed = tmp_path / "packed"
        mlx_lm.convert(str(folder), str(packed), quantize=True, q_bits=4, q_group_size=32)
        assert describe_model(packed).embedding_rows == VOCABULARY_SIZE
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 99_999}))
    assert describe_model(folder).embedding_rows == VOCABULARY_SIZE


def test_a_padded_embedding_and_another_head_count_as_the_smaller_of_both() -> None:
    shapes = {
        "language_model.model.embed_tokens.weight": (640, 8),
        "model.layers.0.self_attn.output.weight": (8, 8),
        "vision_tower.embeddings.weight": (3, 8),
        "transformer.wpe.weight": (128, 8),
        "lm_head.weight": (600, 8),
    }
    assert embedding_rows(shapes, 512) == 600
    assert embedding_rows({"transformer.wpe.weight": (128, 8)}, 512) == 512
    assert embedding_rows({}, None) is None
