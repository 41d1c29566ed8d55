"""A program that holds the loading of a model against transformers' own implementation.

`python -m cptstudio.evaluation.model_check_program` speaks `job_programs`. It computes the
log-probabilities of a few hundred tokens twice, with transformers and PyTorch and with the network
that is trained here, both in float32, one after the other so that only one is in memory. The
largest difference tells whether the model is the one that its makers published: rounding leaves
about 1e-4, a wrong RoPE base whole nats.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer

TOLERANCE = 1e-3
"""Nats by which the two may differ at any token: what float32 rounds is far below it."""

TOKENS = 320
PLAIN_TEXT = (
    "The valve opens at seven bar, and the pump stops when the tank is full. "
    "def area(width: float, height: float) -> float:\n    return width * height\n"
    "In 1869 Mendeleev arranged the elements by weight; gaps were left for those unknown. "
    "Wer zuletzt lacht, lacht am besten. La lune est belle ce soir. 2 + 2 = 4, and 17 * 3 = 51.\n"
)


def check(path: Path, answer: Answer) -> dict[str, Any]:
    """Compare our loading of a model with transformers'.

    Returns:
        "tokens": how many were compared; "largest" and "mean": differences in nats; "equal";
        "verdict": a sentence that says what it means and what to do, followed by what mlx-lm is
        known to compute otherwise for this model ("known", a list of sentences).

    Raises:
        UserError: PyTorch is not installed, transformers does not know the model, the model is
            packed, or it cannot be loaded here.
    """
    from cptstudio.lm.description import describe_model, read_model_config
    from cptstudio.lm.known_differences import known_differences

    _check_installed()
    description = describe_model(path)
    if description.quantization is not None:
        raise UserError(
            f"{path} is quantized, and transformers cannot read these packed weights on "
            "every machine. Check the model it was quantized from."
        )
    answer.progress(phase="computing with transformers", done=0, total=2, unit="steps", final=True)
    tokens = _tokens(path, description.vocabulary_size)
    theirs = _by_transformers(path, tokens)
    answer.progress(phase="computing as in training", done=1, total=2, unit="steps", final=True)
    ours = _by_mlx(path, tokens)
    import numpy as np

    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise UserError(
            f"{path}: the log-probabilities are not finite. The weights may be damaged."
        )
    differences = np.abs(ours - theirs)
    largest, mean = float(differences.max()), float(differences.mean())
    equal = largest <= TOLERANCE
    known = known_differences(read_model_config(path))
    return {
        "model": str(path),
        "tokens": len(tokens),
        "largest": largest,
        "mean": mean,
        "equal": equal,
        "transformers": importlib.metadata.version("transformers"),
        "known": known,
        "verdict": " ".join([_verdict(description.model_type, largest, equal), *known]),
    }


def _verdict(model_type: str, largest: float, equal: bool) -> str:
    if equal:
        return (
            f"Equal: the largest difference from transformers is {largest:.1e} nats, "
            "which is rounding error. CPT Studio loads the model correctly."
        )
    if largest < 10 * TOLERANCE:
        return (
            f"Nearly equal: the largest difference from transformers is {largest:.1e} "
            f"nats. mlx-lm's {model_type!r} computes a detail differently, such as the "
            "activation. Training and scoring work; results of the two programs differ "
            "in the third digit."
        )
    return (
        f"Different: the largest difference from transformers is {largest:.2g} nats. "
        f"mlx-lm's {model_type!r} is not the network this model was trained with, so do "
        "not train or score it here. Compare its config.json with the published one or "
        "download it again; if the difference remains, report it with the model's name."
    )


def _check_installed() -> None:
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            "PyTorch is not installed, but transformers needs it. Install it for CPT "
            f"Studio ({sys.prefix}) with `{sys.executable} -m pip install torch` and try "
            "again."
        )


def _tokens(path: Path, vocabulary_size: int | None) -> list[int]:
    from cptstudio.corpus.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(path)
    text = PLAIN_TEXT
    tokens: list[int] = []
    while len(tokens) < TOKENS and len(text) < 64 * len(PLAIN_TEXT):
        tokens = list(tokenizer.backend.encode(text, add_special_tokens=False).ids)
        text += text
    tokens = [token for token in tokens if token < (vocabulary_size or token + 1)][:TOKENS]
    if len(tokens) < 2:
        raise UserError(f"The tokenizer in {path} produces no tokens for plain text.")
    return tokens


def _by_transformers(path: Path, tokens: list[int]) -> Any:
    """Log-probabilities by transformers: [tokens, vocabulary], float32."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    refused = (ValueError, KeyError, OSError, ImportError, RuntimeError, AttributeError, TypeError)
    model: Any = None
    reason: Exception | None = None
    for kind in (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText):
        try:
            model, report = kind.from_pretrained(
                path, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
        except refused as error:
            reason = reason or error
            continue
        if not report["missing_keys"]:
            break
        reason, model = reason or ValueError("weights are missing"), None
    if model is None:
        raise UserError(
            f"transformers {importlib.metadata.version('transformers')} cannot load {path}, so "
            f"there is nothing to compare with: {str(reason).splitlines()[0]}"
        )
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([tokens])).logits[0].float()
        return torch.log_softmax(logits, dim=-1).numpy()


def _by_mlx(path: Path, tokens: list[int]) -> Any:
    """Log-probabilities by the network that is trained here: [tokens, vocabulary], float32."""
    import mlx.core as mx
    import numpy as np

    from cptstudio.lm.loading import load_for_inference

    loaded = load_for_inference(path, compute_dtype=mx.float32)
    network: Any = loaded.model
    output = network(mx.array([tokens]))
    logits = getattr(output, "logits", output)[0].astype(mx.float32)
    return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says."""
    return check(Path(request["path"]), answer)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
