"""What llama.cpp says to a reference's questions."""

from __future__ import annotations

from typing import Final

from cptstudio.exports.comparison import Answers, Reference
from cptstudio.exports.llama_cpp import LlamaServer
from cptstudio.job_programs import TellsProgress, counted

_MORE: Final = 16


def context_for(reference: Reference) -> int:
    """Return the tokens that the longest of the questions takes, with its answer."""
    windows = [len(one.tokens) for one in reference.windows]
    texts = [len(one.tokens) + len(one.greedy) for one in reference.prompts]
    return max([*windows, *texts], default=0) + _MORE


def ask_llama_cpp(
    server: LlamaServer, by: str, computed: str, reference: Reference, answer: TellsProgress
) -> Answers:
    """Return greedy texts and log-probabilities by a server that has the file loaded.

    Args:
        by: the program and its version.
        computed: in what it computes.
    """
    tell = counted(answer, "comparing with the checkpoint", "tokens")
    written = sum(len(one.greedy) for one in reference.prompts)
    total = written + sum(len(one.log_probs) for one in reference.windows)
    done, seconds = 0, 0.0
    greedy = []
    for prompt in reference.prompts:
        tell(done, total)
        choices, took = server.greedy(prompt.tokens, len(prompt.greedy))
        greedy.append([one.token for one in choices])
        seconds += took
        done += len(choices)
    log_probs, best = [], []
    for window in reference.windows:
        found = []
        for choice in server.score(window.tokens):
            tell(done, total)
            found.append(choice)
            done += 1
        log_probs.append([one.log_prob for one in found])
        best.append([one.best for one in found])
    tell(total, total)
    return Answers(
        by=by,
        computed=computed,
        greedy=greedy,
        log_probs=log_probs,
        best=best,
        tokens_per_second=written / seconds if seconds else None,
    )
