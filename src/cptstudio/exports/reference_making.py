"""What a checkpoint says itself, asked once and kept with the workspace's measurements.

It is computed in float32 where that fits into memory, so that what is found of an export is the
export's own rounding and not the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import psutil

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.held_out import held_out_text
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.evaluation.model_check_program import PLAIN_TEXT
from cptstudio.evaluation.references import ModelReference, reference_of
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.windows import common_context
from cptstudio.exports.asked import Compared
from cptstudio.exports.comparison import Reference, ReferencePrompt, ReferenceWindow
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.answers import continue_greedily, score_text
from cptstudio.lm.blas import one_row_products
from cptstudio.lm.cpu_kernels import on_cpu
from cptstudio.lm.description import describe_model
from cptstudio.lm.loading import load_for_inference
from cptstudio.lm.vocabulary import check_ids
from cptstudio.validation import checked
from cptstudio.weight_files import weight_files
from cptstudio.workspace import Workspace

WINDOW: Final = 512
"""Tokens of text in one piece."""
_BEGINNING: Final = 24
"""Tokens of a prompt, its start token included."""
_FLOAT32: Final = 4


@dataclass(frozen=True)
class _Text:
    """Pieces of held-out text: token ids, the first of each only read."""

    name: str
    windows: list[list[int]]
    bytes: int
    start: int


def reference_for(request: dict[str, Any], answer: TellsProgress) -> Reference:
    """Return what the checkpoint of a request says; made once for the same questions.

    Args:
        request: of `asked.request_for`.

    Raises:
        UserError: it cannot be loaded, or there is no text to compare on.
    """
    workspace = Workspace.held(request["workspace"])
    source, compared = reference_of(request["source"]), checked(Compared, **request["compared"])
    results = Results(workspace)
    corpora = [(one["name"], open_corpus(one["path"])) for one in request["corpora"]]
    answer.progress(phase=f"reading {source.label}")
    inputs = {
        "export reference": 1,
        "model": results.identity(source.model, source.adapter),
        "corpora": [[name, corpus.manifest.fingerprint] for name, corpus in corpora],
        "window": WINDOW,
        "beginning": _BEGINNING,
        **compared.model_dump(),
    }
    known = results.find(inputs)
    if known is not None:
        return checked(Reference, **known)
    text = _text(source.model, corpora, compared)
    made = _ask(source, text, compared, answer)
    results.keep(inputs, made.model_dump())
    return made


def ask_network(
    model: Any,
    prompts: Sequence[Sequence[int]],
    counts: Sequence[int],
    windows: Sequence[Sequence[int]],
    answer: TellsProgress,
    phase: str,
) -> tuple[list[ReferencePrompt], list[ReferenceWindow], float | None]:
    """Return what a network in memory says to prompts and to pieces of text.

    Args:
        counts: of the tokens that follow each prompt.

    Returns:
        Its texts, its log-probabilities, and the tokens a second of the former.
    """
    tell = counted(answer, phase, "tokens")
    total = sum(counts) + sum(len(tokens) - 1 for tokens in windows)
    done, seconds = 0, 0.0
    texts = []
    with one_row_products() as prompts_are_read:
        prompts_are_read()  # All are short: nearly all that is computed is one row at a time.
        for prompt, count in zip(prompts, counts, strict=True):
            tell(done, total)
            greedy, margins, took = continue_greedily(model, prompt, count)
            seconds += took
            done += count
            texts.append(ReferencePrompt(tokens=list(prompt), greedy=greedy, margins=margins))
    scored = []
    with one_row_products():
        for tokens in windows:
            tell(done, total)
            log_probs, best = score_text(model, tokens)
            done += len(log_probs)
            scored.append(ReferenceWindow(tokens=list(tokens), log_probs=log_probs, best=best))
    tell(done, total)
    rest = sum(count - 1 for count in counts)
    return texts, scored, rest / seconds if rest and seconds else None


def fits_in_float32(parameters: int) -> bool:
    """Whether so many weights fit into half of the free memory in float32."""
    return _FLOAT32 * parameters <= psutil.virtual_memory().available // 2


def _ask(
    source: ModelReference, text: _Text, compared: Compared, answer: TellsProgress
) -> Reference:
    description = describe_model(source.model)
    answer.progress(phase=f"loading {source.label}")
    wide = fits_in_float32(description.parameters)
    dtype = mx.float32 if wide else None
    loaded = load_for_inference(source.model, source.adapter, compute_dtype=dtype)
    for tokens in text.windows:
        check_ids(tokens, loaded.embedding_rows, f"The text of {text.name}", source.model)
    prompts = list(_beginnings(text, compared.prompts))
    counts = [compared.prompt_tokens] * len(prompts)
    phase = f"asking {source.label}"
    texts, scored, rate = ask_network(loaded.model, prompts, counts, text.windows, answer, phase)
    files = weight_files(source.model)
    if source.adapter is not None:
        files.append(source.adapter / "adapters.safetensors")
    return Reference(
        label=source.label,
        computed="float32" if wide or on_cpu() else description.dtype,
        text=text.name,
        text_bytes=text.bytes,
        bytes=sum(file.stat().st_size for file in files),
        prompts=texts,
        windows=scored,
        tokens_per_second=rate,
    )


def _beginnings(text: _Text, count: int) -> Iterator[list[int]]:
    """Yield prompts: what pieces of the text begin with, from evenly spaced places."""
    places = [
        (number, begin)
        for number, tokens in enumerate(text.windows)
        for begin in range(1, len(tokens), _BEGINNING)
        if begin == 1 or begin + _BEGINNING <= len(tokens)
    ]
    # Beginnings of texts first, since a prompt from within a sentence says less.
    places.sort(key=lambda place: place[1])
    chosen = places[: max(count, 1)]
    for number, begin in chosen:
        yield [text.start, *text.windows[number][begin : begin + _BEGINNING - 1]]


def _text(model: Path, corpora: Sequence[tuple[str, Corpus]], compared: Compared) -> _Text:
    window = common_context([model], WINDOW + 1) - 1
    if not corpora:
        tokenizer = load_tokenizer(model)
        ids = [int(one) for one in tokenizer.encode_batch([PLAIN_TEXT])[0]]
        pieces = list(_pieces(ids, tokenizer.facts.start, window))
        size = len(PLAIN_TEXT.encode())
        return _Text("a short plain text", pieces, size, tokenizer.facts.start)
    windows: list[list[int]] = []
    size, start = 0, 0
    for name, corpus in corpora:
        store = ensure_tokens(corpus, model)
        start = store.tokenizer.start
        documents = held_out_text(
            corpus.in_template(store.template),
            compared.side,
            store.tokenizer.hash,
            lambda: load_tokenizer(model),
            max_tokens=max(1, compared.max_tokens // len(corpora)),
            window_tokens=window,
        )
        if not documents:
            raise UserError(f"The corpus {name!r} has no {compared.side} text to compare on.")
        for document in documents:
            ids = document.tokens.tolist()
            begin = start if document.start is None else document.start
            windows += _pieces(ids, begin, window)
            if document.counts is None:
                size += document.byte_length
            else:  # All of a conversation's text is compared, not its answers alone.
                size += len(load_tokenizer(model).decode(ids).encode("utf-8", "replace"))
    names = " and ".join(name for name, _ in corpora)
    count = sum(len(tokens) - 1 for tokens in windows)
    return _Text(f"{count:,} {compared.side} tokens of {names}", windows, size, start)


def _pieces(ids: Sequence[int], start: int, window: int) -> Iterator[list[int]]:
    for begin in range(0, len(ids), window):
        yield [ids[begin - 1] if begin else start, *ids[begin : begin + window]]
