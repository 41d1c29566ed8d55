"""A tokenizer that cannot represent the text is refused or told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.report import describe, render
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.corpus.tokenizer_loss import measure_loss, refuse_measuring
from cptstudio.errors import UserError
from tests.corpus.tokenizers_for_tests import (
    BOS,
    EOS,
    KINDS,
    save_model_folder,
    training_text,
)
from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow

KOREAN = "한국어 문장이 여기에 있다. "
MIXED = [
    "Grüße aus Köln, e\u0301 Ελλάδα, Москва, 東京。 ﬁne ½ ★ 😀👩\u200d👧\tand\x00 \u200b <think>x",
    KOREAN * 20 + "हिन्दी ไทย עברית العربية ",
]


def wordpiece() -> Tokenizer:
    """Like BERT's uncased one."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[UNK]", EOS, BOS]
    trainer = trainers.WordPieceTrainer(
        vocab_size=1_000, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(training_text()[-2:], trainer)
    return tokenizer


def letters_without_unknown() -> Tokenizer:
    """What it does not know is in no token at all."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[EOS], show_progress=False)
    tokenizer.train_from_iterator(training_text()[-2:], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Unigram model of ASCII letters, as of SentencePiece without bytes below its pieces."""
    letters = [(one, -3.0) for one in ["▁", *map(chr, range(33, 127))]]
    special = [("<unk>", 0.0), (EOS, 0.0), (BOS, 0.0)]
    tokenizer = Tokenizer(models.Unigram([*special, *letters], unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([name for name, _ in special])
    return save_model_folder(tmp_path_factory.mktemp("pieces"), tokenizer)


def build(folder: Path, text: str, model: Path | None, **options: bool) -> Corpus:
    source = folder / "text.txt"
    source.parent.mkdir(exist_ok=True)
    source.write_text(text, encoding="utf-8")
    settings = BuildSettings(near_dedup=False, validation=0, test=0)
    return build_corpus(folder / "c", [source], settings, model, **options).corpus


@pytest.mark.parametrize("kind", ["gpt2", "sentencepiece_bpe"])
def test_tokenizers_of_bytes_lose_nothing(kind: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save_model_folder(tmp_path, KINDS[kind]()))
    loss = measure_loss(tokenizer, MIXED)
    assert (loss.share, loss.examples, loss.folds) == (0, "", [])
    assert loss.examined > 200


def test_a_tokenizer_that_loses_the_text_is_refused_and_allowed_when_asked(
    pieces: Path, tmp_path: Path
) -> None:
    text = "A valve opens at seven bar. " * 20 + KOREAN
    with pytest.raises(UserError, match="cannot represent these documents: ") as caught:
        build(tmp_path, text, pieces)
    assert "--allow-lossy-tokenizer" in caught.value.message and "국" in caught.value.message
    with pytest.raises(UserError, match="There is no corpus"):
        open_corpus(tmp_path / "c")
    corpus = build(tmp_path, text, None)
    with pytest.raises(UserError, match="cannot represent"):
        ensure_tokens(corpus, pieces)
    assert corpus.tokenizer_hashes() == []
    store = ensure_tokens(corpus, pieces, allow_lossy=True)
    unknown = load_tokenizer(pieces).unknown
    assert unknown is not None
    loss = store.manifest.loss
    assert loss is not None and 0.01 < loss.unknown < 0.05 and loss.vanished == 0
    assert store.manifest.unknown_tokens == int((store.tokens == unknown).sum()) > 0
    (told,) = describe(corpus)["tokenisations"]
    assert told["loss"]["unknown"] == loss.unknown
    assert any("The tokenizer loses text:" in note for note in told["notes"])
    assert "tokens are unknown tokens" in render(corpus)


def test_a_model_is_not_measured_on_what_its_tokenizer_loses(pieces: Path) -> None:
    loss = measure_loss(load_tokenizer(pieces), [KOREAN])
    with pytest.raises(UserError, match=r"cannot represent 'korean\.txt': .*unknown token"):
        refuse_measuring(loss, "'korean.txt'")


def test_a_little_loss_is_told_and_not_refused(pieces: Path, tmp_path: Path) -> None:
    store = build(tmp_path, "A valve opens at seven bar. " * 50 + "한", pieces).token_store()
    assert store.manifest.loss is not None and 0 < store.manifest.loss.share < 0.01
    assert store.manifest.unknown_tokens == 1


def test_characters_that_are_in_no_token_are_counted(tmp_path: Path) -> None:
    model = save_model_folder(tmp_path / "model", letters_without_unknown())
    with pytest.raises(UserError, match="of the characters are not in any token"):
        build(tmp_path, KOREAN * 5, model)


def test_lower_casing_is_told_and_not_refused(tmp_path: Path) -> None:
    model = save_model_folder(tmp_path / "model", wordpiece())
    text = "Grüße aus Köln. The Valve Opens at Seven Bar. " * 5
    corpus = build(tmp_path, text, model)
    loss = corpus.token_store().manifest.loss
    assert loss is not None and loss.share == 0 and loss.folds == ["case", "accents"]
    assert "drops letter case and accents" in render(corpus)


def test_a_model_without_its_tokenizers_files_is_refused(tmp_path: Path) -> None:
    model = make_toy_model("qwen2", tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).unlink()
    with pytest.raises(UserError, match="The tokenizer has no vocabulary"):
        build(tmp_path, "Some words.", model)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_a_tokenizer_file_that_is_cut_off_is_refused(tmp_path: Path, part: float) -> None:
    model = make_toy_model("qwen2", tmp_path / "model")
    whole = (model / "tokenizer.json").read_bytes()
    (model / "tokenizer.json").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(UserError, match="tokenizer"):
        build(tmp_path, "Some words.", model)
