"""The inference worker: real processes that hold real models."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
from mlx_lm.generate import generate_step

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score, Status, Unload
from cptstudio.evaluation.references import ModelReference

pytestmark = pytest.mark.slow

PROMPT = "def read_lines(path):"
WARM = Sampling(temperature=1.0, top_p=0.9, top_k=40, min_p=0.01, max_tokens=24)


@pytest.fixture(scope="module")
def worker(base: ModelReference, adapted: list[ModelReference]) -> Iterator[InferenceWorker]:
    with InferenceWorker() as worker:
        worker.load([base, *adapted])
        yield worker


def complete(worker: InferenceWorker, ask: Complete) -> list[list[dict]]:
    """The pieces of each text."""
    texts: list[list[dict]] = []
    for answer in worker.ask(ask):
        if "texts" in answer:
            texts = [[] for _ in answer["texts"]]
        if "piece" in answer:
            texts[answer["piece"]["text_number"]].append(answer["piece"])
    return texts


def asked(*labels: str, **changes) -> Complete:
    given = {"labels": labels, "prompts": (Prompt(text=PROMPT),), **changes}
    return Complete(**given)


def token_ids(pieces: list[dict]) -> list[int]:
    return [piece["token"] for piece in pieces]


def test_a_greedy_completion_is_that_of_mlx_lm(
    worker: InferenceWorker, base: ModelReference
) -> None:
    (pieces,) = complete(worker, asked("base", sampling=Sampling(max_tokens=40)))
    model, tokenizer = mlx_lm.load(str(base.model))
    prompt = mx.array(tokenizer.encode(PROMPT))
    expected = []
    for token, _ in generate_step(prompt, model, max_tokens=40):
        expected.append(token)
        if token in tokenizer.eos_token_ids:
            break
    assert token_ids(pieces) == expected
    said = mlx_lm.generate(model, tokenizer, PROMPT, max_tokens=40)
    assert "".join(piece["text"] for piece in pieces).removeprefix(" ") == said


def test_an_adapter_on_the_shared_base_says_what_it_says_alone(
    worker: InferenceWorker, adapted: list[ModelReference]
) -> None:
    labels = [one.label for one in adapted]
    texts = complete(worker, asked(*labels, sampling=Sampling(max_tokens=20)))
    for reference, pieces in zip(adapted, texts, strict=True):
        model, tokenizer = mlx_lm.load(str(reference.model), adapter_path=str(reference.adapter))
        said = mlx_lm.generate(model, tokenizer, PROMPT, max_tokens=20)
        assert "".join(piece["text"] for piece in pieces).removeprefix(" ") == said
    assert token_ids(texts[0]) != token_ids(texts[1])


def test_the_same_seed_says_the_same_and_another_one_not(worker: InferenceWorker) -> None:
    first, again, other = (
        complete(worker, asked("base", sampling=WARM, seeds=(seed,)))[0] for seed in (7, 7, 8)
    )
    assert token_ids(first) == token_ids(again)
    assert token_ids(first) != token_ids(other)


def test_side_by_side_is_as_one_by_one(worker: InferenceWorker) -> None:
    labels = ("base", "adapter-1", "adapter-2")
    together = complete(worker, asked(*labels, sampling=WARM, seeds=(3, 4)))
    alone = [
        complete(worker, asked(label, sampling=WARM, seeds=(seed,)))[0]
        for label in labels
        for seed in (3, 4)
    ]
    assert [token_ids(text) for text in together] == [token_ids(text) for text in alone]


def test_going_on_from_another_token(worker: InferenceWorker) -> None:
    answers = list(worker.ask(asked("base", sampling=Sampling(max_tokens=6))))
    prompt = next(answer for answer in answers if "texts" in answer)["texts"][0]["prompt"]
    pieces = [answer["piece"] for answer in answers if "piece" in answer]
    chosen = pieces[2]["alternatives"][1]
    assert chosen["token"] != pieces[2]["token"]
    start = (*prompt, *token_ids(pieces[:2]), chosen["token"])
    (further,) = complete(
        worker, asked("base", prompts=(Prompt(tokens=start),), sampling=Sampling(max_tokens=4))
    )
    assert len(further) == 4


def test_probabilities_are_those_of_the_model(
    worker: InferenceWorker, base: ModelReference
) -> None:
    (pieces,) = complete(worker, asked("base", sampling=Sampling(max_tokens=1)))
    model, tokenizer = mlx_lm.load(str(base.model))
    logits = model(mx.array([tokenizer.encode(PROMPT)]))[0, -1].astype(mx.float32)
    expected = np.sort(np.array(mx.softmax(logits)))[::-1][:10]
    told = [alternative["probability"] for alternative in pieces[0]["alternatives"]]
    np.testing.assert_allclose(told, expected, rtol=1e-4)
    assert pieces[0]["probability"] == told[0]


def test_a_stop_string_ends_the_text_before_it(worker: InferenceWorker) -> None:
    (pieces,) = complete(worker, asked("base", sampling=Sampling(max_tokens=40)))
    whole = "".join(piece["text"] for piece in pieces)
    string = whole[9:12]
    (cut,) = complete(worker, asked("base", sampling=Sampling(max_tokens=40, stop=(string,))))
    assert "".join(piece["text"] for piece in cut) == whole[: whole.index(string)]
    assert cut[-1]["finish"] == "stop"


def test_a_cancelled_text_ends_and_the_worker_goes_on(worker: InferenceWorker) -> None:
    ask = asked("base", sampling=Sampling(max_tokens=100_000, temperature=1.0, context_length=64))
    seen, ended = 0, None
    pending = worker.begin(ask)
    for answer in pending.answers():
        seen += "piece" in answer
        if seen == 3:
            pending.cancel()
        ended = answer
    pending.close()
    assert ended is not None
    # A text may end by itself before the third piece only if the toy says so at once.
    assert ended["result"] == {"cancelled": True} or seen < 3
    assert worker.result(Status())["models"]


def test_scores_by_token_are_those_of_full_logits(
    worker: InferenceWorker, base: ModelReference
) -> None:
    text = "import os\nprint(os.getcwd())  # größer\n"
    result = worker.result(Score(labels=("base", "adapter-1"), texts=(text,)))
    (of_text,) = result["models"][0]["texts"]
    model, _ = mlx_lm.load(str(base.model))
    ids = of_text["ids"]
    start = load_tokenizer(base.model).facts.start
    logits = model(mx.array([[start, *ids[:-1]]]))[0].astype(mx.float32)
    logprobs = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True), dtype=np.float64)
    expected = -logprobs[np.arange(len(ids)), ids]
    np.testing.assert_allclose(of_text["nats"], expected, rtol=1e-4)
    assert of_text["bits_per_byte"] == pytest.approx(
        expected.sum() / np.log(2) / len(text.encode()), rel=1e-4
    )
    assert of_text["places"][-1][1] == len(text)
    other = result["models"][1]["texts"][0]
    assert other["ids"] == ids
    assert other["nats"] != of_text["nats"]


def test_several_adapters_share_the_memory_of_their_base(
    base: ModelReference, adapted: list[ModelReference]
) -> None:
    with InferenceWorker() as worker:
        alone = worker.load([base])["memory_active"]
        together = worker.load(adapted)["memory_active"]
        assert together < 1.5 * alone
        left = worker.result(Unload(labels=("base", "adapter-1", "adapter-2")))
        assert left["models"] == []
        assert left["memory_active"] < alone / 2


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (Prompt(), "exactly one"),
        (Prompt(text="a", tokens=(1,)), "exactly one"),
        (Prompt(tokens=(1, 999_999)), "999999"),
        (Prompt(chat=({"role": "user", "content": "hello"},)), "chat template"),
    ],
)
def test_prompts_that_cannot_be(worker: InferenceWorker, prompt: Prompt, says: str) -> None:
    with pytest.raises(UserError, match=says):
        worker.result(asked("base", prompts=(prompt,)))


def test_what_is_not_loaded_is_named_with_what_is(worker: InferenceWorker) -> None:
    with pytest.raises(UserError, match=r"'other' is not loaded.*base"):
        worker.result(Score(labels=("other",), texts=("a",)))


def test_a_folder_that_is_no_model(worker: InferenceWorker, tmp_path) -> None:
    with pytest.raises(UserError, match=r"config\.json|no model"):
        worker.load([ModelReference("nothing", tmp_path)])
    assert worker.result(Status())["models"]


def test_a_killed_worker_is_a_sentence_and_the_next_request_starts_another(
    base: ModelReference,
) -> None:
    with InferenceWorker() as worker:
        worker.load([base])
        pid = worker.state().pid
        assert pid is not None
        endless = Sampling(max_tokens=100_000, temperature=3.0, context_length=64)
        answers = worker.ask(asked("base", sampling=endless, seeds=tuple(range(8))))
        with pytest.raises(UserError, match="It was ended from outside"):
            for answer in answers:
                if "piece" in answer:
                    os.kill(pid, signal.SIGKILL)
        assert worker.state().pid is None
        assert "ended from outside" in (worker.state().last_end or "")
        worker.load([base])
        assert worker.state().labels == ("base",)
        assert worker.state().pid != pid


def test_an_idle_worker_ends_by_itself(base: ModelReference) -> None:
    with InferenceWorker(idle=0.5) as worker:
        worker.load([base])
        deadline = time.monotonic() + 60
        while worker.state().pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert worker.state().pid is None
        assert "Nothing was asked" in (worker.state().last_end or "")


def test_no_worker_runs_before_something_is_asked() -> None:
    with InferenceWorker() as worker:
        assert worker.state().pid is None
