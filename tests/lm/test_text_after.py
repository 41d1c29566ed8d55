"""Text that goes on from a prompt reads as one with it, whatever the tokenizer."""

from __future__ import annotations

import pytest
from mlx_lm.tokenizer_utils import TokenizerWrapper, load
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cptstudio.lm.text_after import TextAfter, token_texts
from tests.toy_models import make_toy_model, text_sample

TEXT = "def read_lines(path):\n    größer = 'naïve 💥 text'  # the number of lines\n" * 2


@pytest.fixture(scope="module", params=["bytes", "sentencepiece"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tokenizer") / request.param
    if request.param == "bytes":
        make_toy_model("qwen3", folder)
    else:
        pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        pieces.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        # As Llama's: the pieces joined, without the space that stands before the first.
        pieces.decoder = decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        )
        special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special[:3])
        trainer.special_tokens = special
        pieces.train_from_iterator(text_sample(), trainer)
        PreTrainedTokenizerFast(
            tokenizer_object=pieces, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder)
    return load(folder)


def test_prompt_and_text_join_to_the_whole(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    whole = tokenizer.decode(ids)
    tried = 0
    for cut in range(1, len(ids)):
        before = tokenizer.decode(ids[:cut])
        if "\N{REPLACEMENT CHARACTER}" in before:
            continue  # Within a character: a page goes on from whole ones only.
        text = TextAfter(tokenizer, ids[:cut])
        parts = [text.add(token) for token in ids[cut:]]
        assert before + "".join(parts) + text.finish() == whole, cut
        tried += 1
    assert tried > 20


def test_without_a_prompt_a_text_begins_as_one_of_its_own(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode(" the lines", add_special_tokens=False)
    for prompt in ((), tokenizer.all_special_ids[:1]):
        text = TextAfter(tokenizer, prompt)
        said = "".join(text.add(token) for token in ids) + text.finish()
        assert said == "the lines"


def test_tokens_alone_keep_their_space(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode("x of the lines", add_special_tokens=False)
    texts = token_texts(tokenizer, ids)
    assert "".join(texts).strip() == "x of the lines"
    assert any(text.startswith(" ") for text in texts[1:])
