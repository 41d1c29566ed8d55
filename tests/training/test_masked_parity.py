"""Loss and gradients of conversations are PyTorch's on the same rows, under real chat templates."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.corpus.conversations.answers import AnswerFinder
from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.conversations.encoding import ConversationEncoder
from cptstudio.corpus.rows import Batch, MixtureMember, build_row_order
from cptstudio.corpus.token_store import TokenStore
from cptstudio.corpus.token_writer import TokenStoreWriter
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.loading import load_for_training
from cptstudio.lm.parameters import flatten
from cptstudio.settings import Packing
from tests.corpus.stores import all_whole
from tests.template_models import PublishedTemplate, make_chat_tokenizer, published_templates
from tests.toy_models import VOCABULARY_SIZE, import_torch, make_toy_model

pytestmark = pytest.mark.slow

LENGTH = 256
RELATIVE = 1e-5
# With what DeepSeek R1's prompt begins, no answer of it begins: none is trained on.
TRAINABLE = sorted(set(published_templates()) - {"deepseek_r1_distill"})
ONE_TURN = [[("user", f"Say {n}."), ("assistant", f"{n} it is, größer {n}.")] for n in range(6)]
SEVERAL = [
    [
        ("system", "Be short."),
        *(turn for k in range(3) for turn in (("user", f"{n}, {k}?"), ("assistant", f"Yes {k}."))),
    ]
    for n in range(4)
]


def store_of(
    folder: Path, tokenizer: CorpusTokenizer, renderer: TemplateRenderer, talks: list[Any]
) -> TokenStore:
    assert tokenizer.template is not None
    added = tokenizer.backend.get_added_tokens_decoder().values()
    finder = AnswerFinder(
        tokenizer.template, renderer, {one.content: bool(one.special) for one in added}
    )
    found = finder.find(
        [
            Conversation.of({"messages": [{"role": r, "content": text} for r, text in talk]})
            for talk in talks
        ]
    )
    writer = TokenStoreWriter(folder, tokenizer.facts, "talks", counts=True)
    encoder = ConversationEncoder(tokenizer.backend)
    for number, one in enumerate(found):
        assert one.texts and not one.refused
        for encoded in encoder.encode(one.texts):
            writer.extend(encoded.tokens, encoded.counts)
            writer.end_document("train", encoded.byte_length, number)
    writer.conversations = all_whole(tokenizer.template.hash, len(talks), len(talks), finder.end)
    writer.finish()
    return TokenStore(folder)


def batches_of(store: TokenStore, packing: Packing) -> list[Batch]:
    order = build_row_order(
        [MixtureMember("talk", store)],
        context_length=LENGTH,
        packing=packing,
        rows_per_batch=3,
        seed=1,
    )
    return list(order.micro_batches(0, order.batches_per_epoch, 3))


def torch_sums(torch: Any, model: Any, batch: Batch) -> tuple[float, dict[str, np.ndarray]]:
    """Sum of nats over the targets that count, by transformers' own form of labels, and gradients.

    Labels are shifted by transformers, so that the row's last target needs one more input.
    """
    assert batch.mask is not None
    tokens = np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1)
    labels = np.full(tokens.shape, -100, dtype=np.int64)
    labels[:, 1:] = np.where(batch.mask, batch.targets, -100)
    model.zero_grad()
    given = torch.tensor(tokens.astype(np.int64))
    mean = model(input_ids=given, labels=torch.tensor(labels)).loss
    total = mean * int(batch.mask.sum())
    total.backward()
    return float(total), {
        name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()
    }


def test_masked_loss_and_gradients_are_those_of_transformers(tmp_path: Path) -> None:
    torch = import_torch()
    from transformers import AutoModelForCausalLM

    folder = make_toy_model("llama", tmp_path / "toy", vocab_size=VOCABULARY_SIZE + 64)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ours = load_for_training(folder, method="full", compute_dtype=mx.float32)
    ours.model.unfreeze()
    step = GradientStep(ours.model)
    compared = 0
    assert len(TRAINABLE) >= 8
    with closing(TemplateRenderer()) as renderer:
        for name in TRAINABLE:
            tokenizer = of_template(tmp_path / name, published_templates()[name])
            for talks in (ONE_TURN, SEVERAL):
                store = store_of(tmp_path / f"{name}-{len(talks)}", tokenizer, renderer, talks)
                for packing in ("concat", "decompose"):
                    for batch in batches_of(store, packing)[:2]:
                        compare(torch, step, theirs, batch)
                        compared += 1
    assert compared >= 4 * len(TRAINABLE)


def of_template(folder: Path, template: PublishedTemplate) -> CorpusTokenizer:
    return load_tokenizer(make_chat_tokenizer(folder, template))


def compare(torch: Any, step: GradientStep, theirs: Any, batch: Batch) -> None:
    assert batch.mask is not None and 0 < int(batch.mask.sum()) < batch.mask.size
    expected, wanted = torch_sums(torch, theirs, batch)
    nats, count, tree = step(batch.inputs, batch.targets, batch.mask)
    gradients = flatten(tree)
    mx.eval(nats, gradients)
    assert count == int(batch.mask.sum())
    assert abs(float(nats.item()) - expected) <= RELATIVE * abs(expected)
    assert gradients.keys() == wanted.keys()
    for name, gradient in gradients.items():
        difference = np.linalg.norm(np.array(gradient) - wanted[name])
        assert difference <= RELATIVE * np.linalg.norm(wanted[name]), name


def test_a_micro_batch_in_which_nothing_counts_changes_nothing(tmp_path: Path) -> None:
    from cptstudio.training.accumulation import accumulate

    folder = make_toy_model("llama-tied", tmp_path / "toy")
    loaded = load_for_training(folder, method="full", compute_dtype=mx.float32)
    loaded.model.unfreeze()
    step = GradientStep(loaded.model)
    inputs = np.arange(40, dtype=np.int32).reshape(2, 20)
    full = Batch(inputs, inputs + 1, np.ones(inputs.shape, dtype=bool))
    empty = Batch(inputs, inputs + 1, np.zeros(inputs.shape, dtype=bool))
    nats, tokens, gradients = accumulate(step, [(empty, 1)])
    assert (float(nats.item()), tokens) == (0.0, 0)
    assert all(not np.array(one).any() for one in gradients.values())
    alone, together = accumulate(step, [(full, 1)]), accumulate(step, [(empty, 1), (full, 1)])
    assert alone[1] == together[1] == 40
    assert float(alone[0].item()) == float(together[0].item())
    for name, gradient in alone[2].items():
        assert np.array_equal(np.array(gradient), np.array(together[2][name]))
