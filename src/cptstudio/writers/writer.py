"""Who writes: a model of this machine, or one at an endpoint that the user confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.results import Results
from cptstudio.remote_endpoints.answers import WrongAnswerError
from cptstudio.remote_endpoints.chat import ChatClient
from cptstudio.remote_endpoints.confirmed import RemoteEndpoint
from cptstudio.remote_endpoints.pace import Pace
from cptstudio.workspace import Workspace
from cptstudio.writers.asked import WritingSettings, WritingTask

_Task = TypeVar("_Task", bound=WritingTask, contravariant=True)
_FINISH: Final = {"end": "end", "stop": "end", "length": "length", "filtered": "filtered"}


@dataclass(frozen=True)
class Written:
    """What came of a task.

    Attributes:
        text: as it came.
        finish: "end", "length" where it was cut at the limit of tokens, "filtered".
        tokens_in: of the prompt; None where nobody counts them.
        tokens_out: of the text, likewise.
        seconds: it took.
        problem: why there is no text, or "".
    """

    text: str
    finish: str
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    problem: str = ""


class Writer(Protocol[_Task]):
    """Writes texts; `write` is called from at most `parallel` threads.

    Attributes:
        identity: another one writes other texts.
        shown: for people.
        parallel: texts at once.
    """

    identity: dict[str, Any]
    shown: str
    parallel: int

    def write(self, task: _Task, settings: WritingSettings) -> Written:
        """Write one text.

        Raises:
            UserError: nothing can be written any more.
        """

    def close(self) -> None:
        """Let go of what it holds."""


class ModelWriter:
    """Writes with a model of this machine, which has to have a chat template."""

    parallel = 1

    def __init__(self, reference: ModelReference, workspace: Workspace, *, fast_blas: bool) -> None:
        self.shown = reference.label
        identity = Results(workspace).identity(reference.model, reference.adapter)
        self.identity: dict[str, Any] = {"kind": "model", "model": identity}
        self._reference = reference
        self._worker = InferenceWorker(fast_blas=fast_blas)
        self._loaded = False

    def write(self, task: WritingTask, settings: WritingSettings) -> Written:
        """Return the model's text."""
        began = time.monotonic()
        if not self._loaded:
            described = self._worker.load([self._reference])
            if not all(model["chat"] for model in described["models"]):
                raise UserError.at(
                    "writer",
                    f"{self.shown} has no chat template, so it takes no instructions. Choose an "
                    "instruct model or an endpoint.",
                )
            self._loaded = True
        ask = Complete(
            labels=(self._reference.label,),
            prompts=(Prompt(chat=tuple(task.messages())),),
            sampling=Sampling(
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                seed=task.seed,
            ),
            alternatives=0,
        )
        pieces: list[str] = []
        for answer in self._worker.ask(ask):
            if "piece" in answer:
                pieces.append(answer["piece"]["text"])
            if "result" in answer:
                (made,) = answer["result"]["texts"]
                finish = _FINISH[made["finish"]]
                counts = made["prompt_tokens"], made["tokens"]
                return Written("".join(pieces), finish, *counts, time.monotonic() - began)
        raise AssertionError("an answer ends with a result or an error")

    def close(self) -> None:
        """End the worker."""
        self._worker.end()


class EndpointWriter:
    """Writes with an endpoint's model; a client for each thread, one pace for all."""

    def __init__(
        self,
        endpoint: RemoteEndpoint,
        model: str,
        parallel: int,
        told: Callable[[float, str], None] = lambda seconds, why: None,
    ) -> None:
        self.shown = f"{model} at {endpoint.host}"
        self.identity: dict[str, Any] = {
            "kind": "endpoint",
            "address": endpoint.address,
            "model": model,
        }
        self.parallel = parallel
        self._pace = Pace(told=told)
        self._endpoint, self._model = endpoint, model
        self._free: list[ChatClient] = []

    def write(self, task: WritingTask, settings: WritingSettings) -> Written:
        """Return the endpoint's text, or why this one has none."""
        began = time.monotonic()
        # The key is asked for when there is something to write, not for a plan.
        try:
            client = self._free.pop()
        except IndexError:
            client = ChatClient(self._endpoint, self._model, pace=self._pace)
        try:
            answer = client.write(
                task.messages(),
                max_tokens=settings.max_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=task.seed,
            )
        except WrongAnswerError as error:
            return Written("", "end", None, None, time.monotonic() - began, error.message)
        finally:
            self._free.append(client)
        counts = answer.tokens_in, answer.tokens_out
        return Written(answer.text, answer.finish, *counts, time.monotonic() - began)

    def close(self) -> None:
        """Let those who wait go, and close the connections of those that are idle."""
        self._pace.stop()
        while self._free:
            self._free.pop().close()
