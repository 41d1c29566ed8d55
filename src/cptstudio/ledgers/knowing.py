"""From likelihoods to what is known, without taking lucky guesses for knowledge.

A model that knows nothing of a fact still prefers one of its options, and with nine distractors it
prefers the right one in a tenth of all facts. Of hundreds of facts that is dozens. So a fact counts
as known only where the right answer leads by more than wrong ones lead elsewhere: the filter of
multiple knockoffs (Barber and Candes 2015; Gimenez and Zou 2019), with distractors as knockoffs. At
a margin t,

    guesses(t) = (1/c + sum of 1/c over facts where a distractor leads by t or more) / facts where
    the answer leads by t or more,

since a model that guesses is as likely to prefer the answer as any one of the c distractors. The
smallest t at which this is at most `GUESSES` is the threshold: of all facts called known at most
that part is expected to be guesses, however many are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["known_before", "learned", "forgotten", "unknown"]
STATES: Final[tuple[State, ...]] = ("known_before", "learned", "forgotten", "unknown")
GUESSES: Final = 0.05
"""Expected part of the facts called known that are lucky guesses, at most."""


@dataclass(frozen=True)
class Answer:
    """How one model answered one fact.

    Attributes:
        leads: the right answer is the likeliest, over all wordings together.
        margin: nats between the likeliest and the next one, the mean over wordings.
        right: wordings whose likeliest option is the right one.
        wordings: that were asked.
        distractors: wrong options.
    """

    leads: bool
    margin: float
    right: int
    wordings: int
    distractors: int

    @property
    def consistent(self) -> bool:
        """Whether at least half of the wordings are answered right."""
        return 2 * self.right >= self.wordings


def answer_of(values: Sequence[Sequence[float]]) -> Answer:
    """Return the answer that likelihoods give.

    Args:
        values: of each wording, of each option, the right one first; higher is likelier.
    """
    means = [sum(column) / len(values) for column in zip(*values, strict=True)]
    best, second = sorted(means, reverse=True)[:2]
    return Answer(
        leads=means[0] > max(means[1:]),
        margin=best - second,
        right=sum(of_one[0] > max(of_one[1:]) for of_one in values),
        wordings=len(values),
        distractors=len(means) - 1,
    )


def guesses_of(answers: Sequence[Answer]) -> list[float]:
    """Return for each fact the part of guesses among all that lead as clearly: its q-value.

    1 for a fact whose right answer does not lead, or not in half of its wordings.
    """
    if not answers:
        return []
    order = sorted(range(len(answers)), key=lambda index: -answers[index].margin)
    guessed = 1 / min(answer.distractors for answer in answers)
    counted = [False] * len(answers)
    shares = [1.0] * len(answers)
    known = 0
    place = 0
    while place < len(order):
        # All that lead by the same margin are taken in together.
        end = place
        while end < len(order) and answers[order[end]].margin == answers[order[place]].margin:
            answer = answers[order[end]]
            counted[order[end]] = answer.leads and answer.consistent
            if counted[order[end]]:
                known += 1
            elif not answer.leads:
                guessed += 1 / answer.distractors
            end += 1
        for index in order[place:end]:
            shares[index] = min(1.0, guessed / known) if known else 1.0
        place = end
    lowest = 1.0
    for index in reversed(order):
        lowest = min(lowest, shares[index])
        shares[index] = lowest
    return [share if taken else 1.0 for share, taken in zip(shares, counted, strict=True)]


def state_of(before: Answer, guess_before: float, now: Answer, guess_now: float) -> State:
    """Return a fact's state from a base's answer and a model's, each with its q-value.

    What the base prefers, if only by a little, has not been learned since; and what the model still
    prefers has not been forgotten.
    """
    if guess_now <= GUESSES:
        return "known_before" if before.leads else "learned"
    if guess_before <= GUESSES:
        return "known_before" if now.leads else "forgotten"
    return "unknown"
