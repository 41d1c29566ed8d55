"""Measures chat habits: `python -m cptstudio.evaluation.chat_program`, see `job_programs`.

Request: {"workspace": folder, "kind": "chat-check" or "chat-again", "title", "points": [{"label",
"way", "share", "parts": [{"model", "adapter", "weight"}], "tokenizer": folder or null,
"answers": whether it is asked the prompts}], "corpora", "roles", "side", "max_bytes",
"context_length", "max_tokens", "questions": {"file", "name"} or absent, "save": {"point": label,
"folder": path} or null, "fast_blas"}.
A point of a single part of weight 1 is that model; others are sums (see `lm.merging`). The result
{"report", "title"} names the report that holds what was found.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch

if __name__ == "__main__":
    leave_out_torch()

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.utils import load_tokenizer

from cptstudio import job_programs
from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.evaluation.chat_again import gains_kept, suggested
from cptstudio.evaluation.documents import open_sets
from cptstudio.evaluation.figures import summary
from cptstudio.evaluation.habits.identity import asking_identity
from cptstudio.evaluation.habits.kept import HabitMeasuring
from cptstudio.evaluation.habits.prompts import built_in
from cptstudio.evaluation.measuring import Measuring
from cptstudio.evaluation.merged_points import (
    MadePoint,
    free_target,
    identities_of,
    parts_of,
    save_merged,
)
from cptstudio.evaluation.own_answers import QuestionFile
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.windows import common_context
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.loading import LoadedModel, load_for_inference
from cptstudio.lm.merging import Part, check_parts
from cptstudio.workspace import Workspace


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure, save the point that is to be saved, and keep what came of it as a report."""
    workspace = Workspace.held(request["workspace"])
    result = measure_points(request, answer)
    return Reports(workspace).keep(request["kind"], request["title"], request, result)


def measure_points(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Measure every point: bits per byte of the corpora, and chat habits."""
    results = Results(Workspace.held(request["workspace"]))
    use_fast_blas(enabled=request["fast_blas"])
    points = [(point, parts_of(point)) for point in request["points"]]
    for _, parts in points:
        if len(parts) > 1:
            check_parts(parts)
    save = request["save"]
    target = free_target(save)
    sets = open_sets(request)
    context = common_context([parts[0].model for _, parts in points], request["context_length"])
    renderer = TemplateRenderer()
    bits = Measuring(sets, request, context, results, answer)
    asked = request.get("questions")
    questions = QuestionFile(Path(asked["file"]), asked["name"], results) if asked else None
    habits = HabitMeasuring(request["max_tokens"], results, renderer, answer)
    measured: list[dict[str, Any]] = []
    try:
        for number, (point, parts) in enumerate(points, 1):
            wanted = target if save and save["point"] == point["label"] else None
            one = _Point(point, parts, f"model {number} of {len(points)}", results, answer)
            measured.append(one.measure(bits, habits, questions, wanted))
    finally:
        renderer.close()
    roles = request.get("roles") or {}
    found = [
        {
            "label": point["label"],
            "way": point["way"],
            "share": point["share"],
            "habits": of_point["habits"],
            "questions": of_point["questions"],
            "corpora": {
                one.name: summary(of_point["bits"][one.name], measured[0]["bits"][one.name])
                for one in sets
            },
        }
        for (point, _), of_point in zip(points, measured, strict=True)
    ]
    domain = next((one.name for one in sets if roles.get(one.name) == "domain"), None)
    gains_kept(found, domain)
    return {
        "context_length": context,
        "max_tokens": request["max_tokens"],
        "points": found,
        "prompts": [
            {
                "id": prompt.id,
                "kind": prompt.kind,
                "text": "\n\n".join(message["content"] for message in prompt.messages),
            }
            for prompt in built_in().prompts
        ],
        "suggested": suggested(found),
        "saved": str(target) if target else None,
        "saved_point": save["point"] if save else None,
        "roles": {one.name: roles.get(one.name) for one in sets},
    }


@dataclass
class _Point:
    """One model or sum of models, made when it is first needed."""

    point: dict[str, Any]
    parts: list[Part]
    detail: str
    results: Results
    answer: TellsProgress
    _made: MadePoint | None = None
    _single: LoadedModel | None = None

    def measure(
        self,
        bits: Measuring,
        habits: HabitMeasuring,
        questions: QuestionFile | None,
        target: Path | None,
    ) -> dict[str, Any]:
        """Return {"bits": by corpus, "habits", "questions"}; saves first where it is wanted."""
        label = self.point["label"]
        self.answer.progress(phase=f"checking {label}", detail=self.detail)
        identity = self._identity()
        if target is not None:
            self.answer.progress(phase=f"saving {target.name}", detail=self.detail)
            save_merged(self._sum().as_stored(), target, label, self.parts)
        found: dict[str, Any] = {
            "bits": bits.measure(label, self.detail, identity, self._load),
            "habits": None,
            "questions": None,
        }
        if questions is not None:
            tell = counted(self.answer, f"{label}: questions", "questions", self.detail)
            found["questions"] = questions.measure(identity, self._load, tell)
        if self.point["answers"]:
            asking = asking_identity(self._asked_by())
            asked = {**identity, "asking": asking}
            found["habits"] = habits.measure(label, self.detail, asked, self._load_to_ask)
        self._made = self._single = None
        mx.clear_cache()
        return found

    def _identity(self) -> dict[str, Any]:
        if self._is_single:
            (part,) = self.parts
            return {"model": self.results.identity(part.model, part.adapter)}
        return {"merge": identities_of(self.parts, self.results)}

    @property
    def _is_single(self) -> bool:
        return len(self.parts) == 1 and self.parts[0].weight == 1

    def _asked_by(self) -> Path:
        given = self.point["tokenizer"]
        return Path(given) if given else self.parts[0].model

    def _sum(self) -> MadePoint:
        self._made = self._made or MadePoint(
            self.point["label"], self.detail, self.parts, self.answer
        )
        return self._made

    def _load(self) -> LoadedModel:
        if not self._is_single:
            return self._sum().to_compute()
        if self._single is None:
            (part,) = self.parts
            self.answer.progress(phase=f"loading {self.point['label']}", detail=self.detail)
            self._single = load_for_inference(part.model, part.adapter)
        return self._single

    def _load_to_ask(self) -> LoadedModel:
        """The model with the tokenizer and chat template that it is asked by."""
        loaded = self._load()
        if not self.point["tokenizer"]:
            return loaded
        folder = self._asked_by()
        tokenizer = load_tokenizer(folder)  # type: ignore[no-untyped-call]
        return replace(loaded, tokenizer=tokenizer, path=folder)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
