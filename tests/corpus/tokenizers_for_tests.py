"""Real tokenizers of every usual kind, trained on the spot in about a second each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

EOS, BOS = "<|endoftext|>", "<s>"
# The pre-tokenization patterns of GPT-2, Llama 3 and Qwen 2, as their tokenizer.json files have
# them; they differ in how they treat newlines and digits.
_LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def training_text() -> list[str]:
    """Python sources of the standard library, and some text in other scripts."""
    import sysconfig

    folder = Path(sysconfig.get_paths()["stdlib"])
    names = ["argparse.py", "ast.py", "inspect.py", "typing.py", "pydoc.py", "tarfile.py"]
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return [*texts, "Grüße aus Köln, Ελλάδα, Москва, 東京、日本。\n" * 40]


def gpt2() -> Tokenizer:
    return _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))


def llama3() -> Tokenizer:
    split = pre_tokenizers.Split(Regex(_LLAMA), behavior="isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(pre_tokenizers.Sequence([split, plain]))


def _byte_level(pre_tokenizer: object) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2_000,
        special_tokens=[EOS, BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def sentencepiece_bpe() -> Tokenizer:
    """Like Llama 2 and Gemma: no pre-tokenization at all, a space before every text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace()
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=2_000, special_tokens=["<unk>", EOS, BOS, *alphabet], show_progress=False
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    state["pre_tokenizer"] = None
    state["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ],
    }
    return Tokenizer.from_str(json.dumps(state))


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1_000,
        special_tokens=["<unk>", EOS, BOS],
        unk_token="<unk>",
        show_progress=False,
    )
    # Its training takes long: a part of the text is enough.
    tokenizer.train_from_iterator(training_text()[::3], trainer)
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": gpt2,
    "llama3": llama3,
    "sentencepiece_bpe": sentencepiece_bpe,
    "unigram": unigram,
}


def save_model_folder(folder: Path, tokenizer: Tokenizer, *, adds_bos: bool = False) -> Path:
    """A folder that transformers loads the tokenizer from, as a model's folder is."""
    from tokenizers.processors import TemplateProcessing

    folder.mkdir(parents=True, exist_ok=True)
    if adds_bos:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EOS}
    if adds_bos:
        settings["bos_token"] = BOS
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
