"""Scores against computations of others: PyTorch's networks, and exact probabilities."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import STATUSES, BuildSettings
from cptstudio.evaluation.evaluate import evaluate
from cptstudio.evaluation.model_requests import ModelToLoad, Score
from cptstudio.evaluation.model_set import ModelSet
from cptstudio.evaluation.scoring import score
from tests.evaluation.silence import Silence
from tests.toy_models import import_torch, make_toy_model, text_sample

CONTEXT, STRIDE = 64, 24


def request(root: Path, models: list[Path], **more: Any) -> dict[str, Any]:
    return {
        "workspace": root,
        "models": [
            {"label": path.name, "model": path, "adapter": None, "run": None} for path in models
        ],
        "corpora": [],
        "texts": [],
        "side": "validation",
        "max_bytes": 400_000,
        "context_length": None,
        "stride": None,
        "fast_blas": True,
        **more,
    }


def write_texts(path: Path, texts: list[str]) -> dict[str, Any]:
    lines = (json.dumps({"text": text}) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return {"name": path.name, "path": path}


# --- transformers in float32 -------------------------------------------------------------------


def nats_in_pytorch(folder: Path, texts: list[str], stride: int) -> list[np.ndarray]:
    """-log p of every token, by transformers' own network and tokenizer.

    Each token is predicted in the window that ends `stride` tokens or less behind it: windows of
    CONTEXT targets, the first of which is full and each further one `stride` tokens on.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch = import_torch()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    adds = tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    start = tokenizer.bos_token_id if adds else tokenizer.eos_token_id
    found = []
    for text in texts:
        ids = [start, *tokenizer(text, add_special_tokens=False).input_ids]
        count = len(ids) - 1
        nats = np.zeros(count)
        for target in range(count):
            steps = max(0, math.ceil((target + 1 - CONTEXT) / stride))
            end = min(count, CONTEXT + steps * stride)
            begin = max(0, end - CONTEXT)
            if target != (0 if steps == 0 else CONTEXT + (steps - 1) * stride):
                continue  # The same window as the target before.
            with torch.no_grad():
                logits = model(torch.tensor([ids[begin:end]])).logits[0].double()
            logp = torch.log_softmax(logits, dim=-1).numpy()
            for place in range(target, end):
                nats[place] = -logp[place - begin, ids[place + 1]]
        found.append(nats)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "qwen3-tied", "gemma2", "gpt_neox", "phi3", "mixtral"])
def test_scores_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    folder = make_toy_model(name, tmp_path / name)
    words = " ".join(text_sample()).split(" ")
    parts = [" ".join(words[i * 70 : i * 70 + length]) for i, length in enumerate((70, 3, 40, 12))]
    texts = [part.strip() for part in (*parts, "größer 😀 als\n\ttabs")]
    source = tmp_path / "source"
    source.mkdir()
    for number, text in enumerate(texts):
        (source / f"{number}.txt").write_text(text, encoding="utf-8")
    build_corpus(
        tmp_path / "words", [source], BuildSettings(validation=0.5, near_dedup=False), folder
    )
    asked = request(
        tmp_path,
        [folder],
        corpora=[{"name": "words", "path": tmp_path / "words"}],
        texts=[write_texts(tmp_path / "texts.jsonl", texts)],
        context_length=CONTEXT,
        stride=STRIDE,
    )
    (model,) = evaluate(asked, Silence())["models"]
    corpus = open_corpus(tmp_path / "words")
    held_out = np.flatnonzero(corpus.documents.records["status"] == STATUSES.index("validation"))
    assert len(held_out) > 0
    chosen = [corpus.documents.text(int(number)) for number in held_out]
    for name_of_set, measured in (("texts.jsonl", texts), ("words", chosen)):
        figures = model["corpora"][name_of_set]
        expected = np.concatenate(nats_in_pytorch(folder, measured, STRIDE))
        size = sum(len(text.encode()) for text in measured)
        assert figures["tokens"] == len(expected)
        assert figures["bytes"] == size
        assert figures["loss"] == pytest.approx(expected.mean(), rel=1e-4)
        assert figures["loss"] * figures["tokens"] == pytest.approx(expected.sum(), rel=1e-4)
        assert figures["bits_per_byte"] == pytest.approx(
            expected.sum() / math.log(2) / size, rel=1e-4
        )
    models = ModelSet()
    models.load(ModelToLoad(label="a", model=str(folder)))
    ask = Score(labels=("a",), texts=tuple(texts), context_length=CONTEXT, stride=STRIDE)
    (scored,) = score([models["a"]], ask, lambda done, total: None)["models"]
    for of_text, expected in zip(
        scored["texts"], nats_in_pytorch(folder, texts, STRIDE), strict=True
    ):
        assert of_text["total_nats"] == pytest.approx(expected.sum(), rel=1e-4)
        np.testing.assert_allclose(of_text["nats"], expected, rtol=1e-4, atol=1e-4)


# --- one distribution through two tokenizers ---------------------------------------------------

TEXTS = ["für die große tür", "eine alte rote rose ", "größer als der duft", "ü", "so grün"]
_NEVER = -60.0


def byte_chain() -> tuple[list[int], np.ndarray, np.ndarray]:
    """The bytes of TEXTS; log p of the first one [bytes] and of the next after each [bytes, bytes].

    Counts of real neighbours with one added to each, so that nothing is impossible.
    """
    alphabet = sorted(set("".join(TEXTS).encode()))
    place = {byte: index for index, byte in enumerate(alphabet)}
    first = np.ones(len(alphabet))
    following = np.ones((len(alphabet), len(alphabet)))
    for text in TEXTS:
        data = [place[byte] for byte in text.encode()]
        first[data[0]] += 1
        for before, after in itertools.pairwise(data):
            following[before, after] += 1
    return (
        alphabet,
        np.log(first / first.sum()),
        np.log(following / following.sum(axis=1, keepdims=True)),
    )


def write_chain(folder: Path, units: int) -> Path:
    """A Llama that says bytes with the probabilities of `byte_chain`, `units` bytes to a token.

    Its embeddings are multiples of the unit vectors, its layer adds nothing, and its head is the
    table of log-probabilities: a network that is exactly a Markov chain.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet, first, following = byte_chain()
    shown = dict(zip(sorted_bytes(), pre_tokenizers_alphabet(), strict=True))
    tuples = list(itertools.product(range(len(alphabet)), repeat=units))
    vocabulary = {"<end>": 0} | {
        "".join(shown[alphabet[index]] for index in one): number
        for number, one in enumerate(tuples, 1)
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            pre_tokenizers.Split(Regex("." * units), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    size = -(-(len(vocabulary)) // 8) * 8
    table = np.full((size, size), _NEVER)
    last = np.array([one[-1] for one in tuples])
    for number, one in enumerate(tuples, 1):
        inside = sum(following[a, b] for a, b in itertools.pairwise(one))
        table[0, number] = first[one[0]] + inside
        table[1 : len(tuples) + 1, number] = following[last, one[0]] + inside
    torch = import_torch()
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).float()
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        # The last norm makes each vector this long, but for the small number in its root.
        model.model.embed_tokens.weight.copy_(torch.eye(size) * math.sqrt(size))
        model.lm_head.weight.copy_(torch.tensor(table.T / math.sqrt(size)))
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return folder


def sorted_bytes() -> list[int]:
    """The bytes in the order of `pre_tokenizers_alphabet` (GPT-2's bytes_to_unicode)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return plain + [byte for byte in range(256) if byte not in plain]


def pre_tokenizers_alphabet() -> list[str]:
    """The character that stands for each byte in byte-level tokenizers (Radford et al. 2019)."""
    plain = [chr(byte) for byte in sorted_bytes()[:188]]
    return plain + [chr(256 + number) for number in range(68)]


@pytest.mark.slow
def test_bits_per_byte_do_not_depend_on_the_tokenizer(tmp_path: Path) -> None:
    even = [text if len(text.encode()) % 2 == 0 else text + " " for text in TEXTS]
    models = [write_chain(tmp_path / f"units-{units}", units) for units in (1, 2)]
    texts = [write_texts(tmp_path / "texts.jsonl", even)]
    found = evaluate(request(tmp_path, models, texts=texts), Silence())["models"]
    by_byte, by_pair = (model["corpora"]["texts.jsonl"] for model in found)
    alphabet, first, following = byte_chain()
    nats = 0.0
    for text in even:
        data = [alphabet.index(byte) for byte in text.encode()]
        nats -= first[data[0]] + sum(following[a, b] for a, b in itertools.pairwise(data))
    size = sum(len(text.encode()) for text in even)
    assert by_byte["tokens"] == by_byte["bytes"] == by_pair["bytes"] == size
    assert by_pair["tokens"] == size / 2
    for figures in (by_byte, by_pair):
        assert figures["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-5)
    assert by_pair["perplexity"] == pytest.approx(by_byte["perplexity"] ** 2, rel=1e-4)
