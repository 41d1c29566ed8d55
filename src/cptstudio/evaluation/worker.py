"""The inference worker: `python -m cptstudio.evaluation.worker`, which holds models and answers.

Requests (see `requests`) come as JSON, one a line, on standard input; answers go the same way to
standard output, each with the `id` of its request: {"id", "piece"}, {"id", "progress"}, and last
{"id", "result"} or {"id", "error"}. One request is worked on at a time, in their order. A
cancellation is heeded at the next token or batch.

The process ends when its input ends, when it is told to, or when nothing was asked of it for
`--idle` seconds. Ending frees the memory; there is nothing to save.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch

if __name__ == "__main__":
    leave_out_torch()

import argparse
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.durable import dump_json, parse_json
from cptstudio.errors import Finding, UserError
from cptstudio.evaluation.completion import (
    CancelledError,
    Completion,
    Piece,
    prompt_tokens,
    run_together,
)
from cptstudio.evaluation.model_requests import (
    Cancel,
    Complete,
    Load,
    Prompt,
    Request,
    Sampling,
    Score,
    Status,
    Unload,
)
from cptstudio.evaluation.model_set import ModelSet
from cptstudio.evaluation.scoring import score
from cptstudio.job_programs import told
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.chat_format import ChatFormat
from cptstudio.lm.text_after import token_texts
from cptstudio.validation import findings_of

_logger = logging.getLogger(__name__)


class Worker:
    """Answers requests; `serve` runs until there are no more.

    Args:
        idle: seconds without a request after which the worker ends.
    """

    def __init__(self, idle: float) -> None:
        self._models = ModelSet()
        self._renderer = TemplateRenderer()
        self._rendering: int | None = None
        self._idle = idle
        self._waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer what comes in on standard input."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            try:
                request = self._waiting.get(timeout=self._idle)
            except queue.Empty:
                self._say(ending=f"Nothing was asked for {self._idle:g} seconds.")
                return
            self._answer(request)
            self._cancelled.discard(request.id)

    def _read(self) -> None:
        for line in sys.stdin:
            value = None
            try:
                value = parse_json(line)
                if isinstance(value, dict) and "cancel" in value:
                    self._cancel(Cancel.model_validate(value).cancel)
                else:
                    self._waiting.put(Request.model_validate(value))
            except (ValidationError, ValueError) as error:
                found = (
                    findings_of(error, Request)
                    if isinstance(error, ValidationError)
                    else [Finding("It is not JSON.")]
                )
                number = value.get("id") if isinstance(value, dict) else None
                self._say(id=number, error=told(UserError("Invalid request:", found)))
        # Whoever asked is gone: nobody would read an answer, so nothing is finished first.
        os._exit(0)

    def _answer(self, request: Request) -> None:
        try:
            self._raise_if_cancelled(request.id)
            self._say(id=request.id, result=self._do(request))
        except CancelledError:
            self._say(id=request.id, result={"cancelled": True})
        except UserError as error:
            self._say(id=request.id, error=told(error))
        except Exception as error:
            # Such as what MLX raises when memory is short, or a network cannot compute what is
            # asked. The models that are loaded stay for the next request.
            _logger.exception("request %d failed", request.id)
            message = f"The model failed: {error}"
            self._say(id=request.id, error=told(UserError(message)))

    def _do(self, request: Request) -> dict[str, Any]:
        ask = request.ask
        if isinstance(ask, Load):
            for number, model in enumerate(ask.models):
                self._progress(request.id, f"loading {model.label}", number, len(ask.models))
                self._raise_if_cancelled(request.id)
                self._models.load(model)
        elif isinstance(ask, Unload):
            for label in ask.labels:
                self._models.unload(label)
        elif isinstance(ask, Complete):
            return self._complete(request.id, ask)
        elif isinstance(ask, Score):
            return self._score(request.id, ask)
        else:
            assert isinstance(ask, Status)
        return self._models.describe()

    def _complete(self, number: int, ask: Complete) -> dict[str, Any]:
        if len(ask.prompts) not in (1, len(ask.labels)):
            raise UserError(
                f"{len(ask.prompts)} prompts for {len(ask.labels)} models. Use one prompt "
                "for all, or one for each."
            )
        prompts = ask.prompts * (len(ask.labels) if len(ask.prompts) == 1 else 1)
        texts: list[dict[str, Any]] = []
        completions = []
        for label, prompt in zip(ask.labels, prompts, strict=True):
            loaded = self._models[label].loaded
            tokens = self._prompt_tokens(number, label, prompt)
            sampling = _within_context(ask, len(tokens))
            shown = token_texts(loaded.tokenizer, tokens)
            chat = self._chat_format(number, label) if prompt.chat is not None else None
            for seed in ask.seeds or (ask.sampling.seed,):
                opens = chat.opens_thinking if chat else ""
                texts.append(
                    {
                        "label": label,
                        "seed": seed,
                        "prompt": tokens,
                        "shown": shown,
                        "opens": opens,
                    }
                )
                completions.append(
                    Completion(
                        loaded,
                        tokens,
                        sampling,
                        seed,
                        ask.alternatives,
                        self._stop(number),
                        goes_on=prompt.chat is None,
                        ends=chat.end_ids if chat else None,
                    )
                )
        self._say(id=number, texts=texts)

        def tell(index: int, piece: Piece) -> None:
            self._say(id=number, piece={"text_number": index, **asdict(piece)})

        ends = run_together(completions, tell)
        memory = self._models.describe()["memory_active"]
        return {
            "texts": [
                {
                    "label": text["label"],
                    "seed": text["seed"],
                    "finish": end.finish if end else None,
                    "ended_by": end.ended_by if end else None,
                    "prompt_tokens": completion.prompt_size,
                    "tokens": completion.count,
                    "first_token_seconds": completion.first_token_seconds,
                    "tokens_per_second": completion.tokens_per_second,
                }
                for text, end, completion in zip(texts, ends, completions, strict=True)
            ],
            "memory_active": memory,
        }

    def _chat_format(self, number: int, label: str) -> ChatFormat:
        self._rendering = number
        try:
            return self._models.chat_format(label, self._renderer.render_all)
        finally:
            self._rendering = None
            self._raise_if_cancelled(number)

    def _prompt_tokens(self, number: int, label: str, prompt: Prompt) -> list[int]:
        self._rendering = number
        try:
            return prompt_tokens(self._models[label].loaded, prompt, self._renderer.render)
        except UserError as error:
            self._raise_if_cancelled(number)
            if prompt.chat is None:
                raise
            raise UserError(f"{label}: {error.message}", error.findings) from None
        finally:
            self._rendering = None

    def _cancel(self, number: int) -> None:
        self._cancelled.add(number)
        if self._rendering == number:
            self._renderer.close()

    def _score(self, number: int, ask: Score) -> dict[str, Any]:
        def tell(done: int, total: int) -> None:
            self._raise_if_cancelled(number)
            self._progress(number, "scoring", done, total)

        return score([self._models[label] for label in ask.labels], ask, tell)

    def _stop(self, number: int) -> Callable[[], bool]:
        return lambda: number in self._cancelled

    def _raise_if_cancelled(self, number: int) -> None:
        if number in self._cancelled:
            raise CancelledError

    def _progress(self, number: int, doing: str, done: int, total: int) -> None:
        self._say(id=number, progress={"doing": doing, "done": done, "total": total})

    def _say(self, **answer: Any) -> None:
        with self._writing:
            sys.stdout.write(dump_json(answer) + "\n")
            sys.stdout.flush()


def _within_context(ask: Complete, prompt: int) -> Sampling:
    """Return how a prompt of so many tokens is gone on from.

    Raises:
        UserError: prompt and text do not fit into the context that was asked for.
    """
    if ask.context is None:
        return ask.sampling
    room = ask.context - prompt
    if room < 1:
        raise UserError.at(
            "context",
            f"The prompt has {prompt:,} tokens, and the context holds {ask.context:,}, the text "
            "included. Shorten the prompt.",
        )
    if ask.fill:
        return ask.sampling.model_copy(update={"max_tokens": room})
    if ask.sampling.max_tokens > room:
        raise UserError.at(
            "context",
            f"The prompt has {prompt:,} tokens and max_tokens is {ask.sampling.max_tokens:,}, but "
            f"the context holds {ask.context:,} together. Use at most {room:,} for max_tokens, or "
            "shorten the prompt.",
        )
    return ask.sampling


def main() -> None:
    """Run the worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--idle", type=float, default=600.0, help="seconds before it ends")
    parser.add_argument("--no-fast-blas", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    use_fast_blas(enabled=not arguments.no_fast_blas)
    Worker(arguments.idle).serve()


if __name__ == "__main__":
    main()
