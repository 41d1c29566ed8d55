"""How an export differs from the checkpoint it was made from, in numbers and in sentences.

A `Reference` is what the checkpoint itself says, `Answers` what the program says that the export
is for. Both are of the same token ids, so tokenizers play no part here. Imports no MLX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.run_files import Record

TIE: Final = 1e-3
"""Nats between the two best tokens below which programs may choose differently by rounding."""
MOST_OF_GAIN: Final = 1 / 3
"""An export that loses more of what training gained is warned of."""


class ReferencePrompt(Record):
    """A prompt, and how the checkpoint goes on.

    Attributes:
        tokens: ids of the prompt, as they are given to the network.
        greedy: ids of the most probable continuation; generation does not stop at an end token.
        margins: nats between the best and the second best token, at each of these.
    """

    tokens: list[int]
    greedy: list[int]
    margins: list[float]


class ReferenceWindow(Record):
    """A piece of held-out text, and how probable the checkpoint finds it.

    Attributes:
        tokens: ids [n + 1]; the first one is only read: the tokenizer's start token, or the token
            before this piece in its document.
        log_probs: nats [n], log-probability of tokens[i + 1] after tokens[: i + 1].
        best: ids [n], the most probable token after tokens[: i + 1].
    """

    tokens: list[int]
    log_probs: list[float]
    best: list[int]


class Reference(Record):
    """What a checkpoint says; an export is held against it.

    Attributes:
        label: of the checkpoint, as the user knows it.
        computed: the type that was computed in, such as "float32".
        text: what the windows are of, in words.
        text_bytes: UTF-8 bytes of all windows' text, without the tokens that are only read.
        bytes: of the files that it was loaded from: model, and adapter.
        tokens_per_second: while it wrote the greedy texts.
    """

    label: str
    computed: str
    text: str
    text_bytes: int
    bytes: int
    prompts: list[ReferencePrompt]
    windows: list[ReferenceWindow]
    tokens_per_second: float | None = None


class Answers(Record):
    """What a program says with an export loaded.

    Attributes:
        by: the program and its version, such as "mlx_lm 0.32.2".
        computed: the type that it computes in, with what else decides its rounding.
        greedy: for each prompt of the reference, as many ids as it has there.
        log_probs: for each window of the reference, nats [n].
        best: for each window, the most probable ids [n]; None where the program does not tell.
        tokens_per_second: while it wrote the greedy texts.
    """

    by: str
    computed: str
    greedy: list[list[int]]
    log_probs: list[list[float]]
    best: list[list[int]] | None = None
    tokens_per_second: float | None = None


class Divergence(Record):
    """Where a greedy text departs from the checkpoint's.

    Attributes:
        prompt: its number, from 0.
        token: its place in the text, from 0.
        margin: nats between the checkpoint's two best tokens there.
    """

    prompt: int
    token: int
    margin: float


class Comparison(Record):
    """What was found.

    Attributes:
        by, computed: of the program that answered.
        reference_computed: what the checkpoint was computed in.
        text: what was measured, in words.
        tokens: of the text that was measured.
        bits_per_byte: of the export on it; `reference_bits_per_byte` is the checkpoint's.
        cost: bits per byte that the export loses: positive is worse.
        best_agreement: share of the text's places where both find the same token most probable;
            None where the program does not tell.
        mean_difference, max_difference: absolute, of the text's log-probabilities, in nats.
        prompts: greedy texts that were compared, of `prompt_tokens` tokens each.
        equal_prompts: how many of them are equal to their end.
        greedy_agreement: share of the greedy tokens before the first different one.
        divergences: the first different token of each text that is not equal.
        bytes: of the export's files; `reference_bytes` is the checkpoint's with its base.
        bits_per_weight: bits of the export's weights, per weight.
        tokens_per_second: writing the greedy texts; of both.
    """

    by: str
    computed: str
    reference_computed: str
    text: str
    tokens: int
    bits_per_byte: float
    reference_bits_per_byte: float
    cost: float
    best_agreement: float | None
    mean_difference: float
    max_difference: float
    prompts: int
    prompt_tokens: int
    equal_prompts: int
    greedy_agreement: float
    divergences: list[Divergence]
    bytes: int
    reference_bytes: int
    bits_per_weight: float | None
    tokens_per_second: float | None
    reference_tokens_per_second: float | None

    @property
    def only_ties(self) -> bool:
        """Whether each greedy text is equal, or departs where two tokens are about as probable."""
        return all(one.margin <= TIE for one in self.divergences)


class Gain(Record):
    """What training gained on the domain's held-out text, by the run's own evaluations.

    Attributes:
        bits_per_byte: at the first evaluation less that at the checkpoint; None: not measured.
        why: a sentence, where it was not measured.
    """

    bits_per_byte: float | None
    why: str = ""


class Proof(Record):
    """A comparison and what it means.

    Attributes:
        sentences: what it found, for people.
        warning: why the export should be thought over; "" where there is no reason.
    """

    comparison: Comparison
    gain: Gain
    sentences: list[str]
    warning: str = Field("", description="Why the export should be thought over.")


def compare(
    reference: Reference, answers: Answers, *, size: int, bits_per_weight: float | None
) -> Comparison:
    """Return how a program's answers differ from the checkpoint's.

    Args:
        size: bytes of the export's files.
        bits_per_weight: of the export's weights; None where that is not known.

    Raises:
        UserError: the program did not answer everything, or with what is no number.
    """
    _check(reference, answers)
    theirs, ours = _joined(answers.log_probs), _joined([w.log_probs for w in reference.windows])
    differences = np.abs(theirs - ours)
    bits, reference_bits = (-float(one.sum()) / math.log(2) for one in (theirs, ours))
    divergences = _divergences(reference.prompts, answers.greedy)
    length = max((len(one.greedy) for one in reference.prompts), default=0)
    written = sum(len(one.greedy) for one in reference.prompts)
    departed = {one.prompt: one.token for one in divergences}
    alike = sum(departed.get(n, len(one.greedy)) for n, one in enumerate(reference.prompts))
    best = None
    if answers.best is not None:
        found, known = _joined(answers.best), _joined([w.best for w in reference.windows])
        best = float((found == known).mean())
    return Comparison(
        by=answers.by,
        computed=answers.computed,
        reference_computed=reference.computed,
        text=reference.text,
        tokens=len(ours),
        bits_per_byte=bits / reference.text_bytes,
        reference_bits_per_byte=reference_bits / reference.text_bytes,
        cost=(bits - reference_bits) / reference.text_bytes,
        best_agreement=best,
        mean_difference=float(differences.mean()),
        max_difference=float(differences.max()),
        prompts=len(reference.prompts),
        prompt_tokens=length,
        equal_prompts=len(reference.prompts) - len(divergences),
        greedy_agreement=alike / written if written else 1.0,
        divergences=divergences,
        bytes=size,
        reference_bytes=reference.bytes,
        bits_per_weight=bits_per_weight,
        tokens_per_second=answers.tokens_per_second,
        reference_tokens_per_second=reference.tokens_per_second,
    )


def prove(comparison: Comparison, gain: Gain) -> Proof:
    """Return what a comparison means, given what training gained."""
    agreement = f"{comparison.greedy_agreement:.1%} of the greedy tokens agree"
    sentences = [
        f"{comparison.by} writes {comparison.equal_prompts} of {comparison.prompts} texts of "
        f"{comparison.prompt_tokens} tokens as the checkpoint does ({agreement}).",
        f"Bits per byte on {comparison.text}: {comparison.bits_per_byte:.4f}, and the "
        f"checkpoint's are {comparison.reference_bits_per_byte:.4f} ({signed(comparison.cost)}).",
    ]
    if comparison.divergences and comparison.only_ties:
        sentences.append(
            f"Texts differ only where the checkpoint's two best tokens are within {TIE:g} nats."
        )
    told, warning = _against_gain(comparison.cost, gain)
    return Proof(comparison=comparison, gain=gain, sentences=[*sentences, told], warning=warning)


def signed(bits: float) -> str:
    """Return a difference in bits per byte as it is shown: a zero has no sign."""
    text = f"{bits:+.4f}"
    return text if float(text) else "0.0000"


def _against_gain(cost: float, gain: Gain) -> tuple[str, str]:
    """Return what a cost is against the gain: a sentence, and a warning or ""."""
    if gain.bits_per_byte is None:
        return f"What training gained was not measured: {gain.why}", ""
    if gain.bits_per_byte <= 0:
        said = (
            "The run's evaluations show no gain since the start "
            f"({signed(-gain.bits_per_byte)} bits per byte), so there is none to lose."
        )
        return said, ""
    if cost <= 0:
        return f"Nothing of the {gain.bits_per_byte:.4f} that training gained is lost.", ""
    share = cost / gain.bits_per_byte
    said = f"That is {share:.0%} of the {gain.bits_per_byte:.4f} that training gained."
    if share <= MOST_OF_GAIN:
        return said, ""
    return said, (
        f"This export loses {share:.0%} of what training gained ({cost:.4f} of "
        f"{gain.bits_per_byte:.4f} bits per byte). Use more bits."
    )


def _check(reference: Reference, answers: Answers) -> None:
    asked = [len(one.greedy) for one in reference.prompts]
    if [len(one) for one in answers.greedy] != asked:
        raise UserError(f"{answers.by} did not write as many tokens as it was asked for.")
    sizes = [len(one.log_probs) for one in reference.windows]
    rows: list[Sequence[Sequence[float]]] = [answers.log_probs]
    if answers.best is not None:
        rows.append(answers.best)
    if any([len(one) for one in found] != sizes for found in rows):
        raise UserError(f"{answers.by} did not score all tokens of the text.")
    if not sum(sizes):
        raise UserError("There is no held-out text to compare on.")
    broken = sum(not math.isfinite(value) for one in answers.log_probs for value in one)
    if broken:
        raise UserError(
            f"{answers.by} finds log-probabilities that are no numbers at {broken:,} of "
            f"{sum(sizes):,} tokens: the export is damaged, or its type cannot hold the weights."
        )


def _joined(rows: Sequence[Sequence[float]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([np.asarray(row, dtype=np.float64) for row in rows])


def _divergences(
    prompts: Sequence[ReferencePrompt], greedy: Sequence[Sequence[int]]
) -> list[Divergence]:
    found = []
    for number, (prompt, tokens) in enumerate(zip(prompts, greedy, strict=True)):
        pairs = enumerate(zip(prompt.greedy, tokens, strict=True))
        first = next((at for at, (ours, theirs) in pairs if ours != theirs), None)
        if first is not None:
            margin = prompt.margins[first]
            found.append(Divergence(prompt=number, token=first, margin=margin))
    return found
