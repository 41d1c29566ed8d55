"""`/api/study`: study texts, their strategies, and what was kept of them."""

from __future__ import annotations

from typing import Any

import flask

from cptstudio.errors import UserError
from cptstudio.study import templates
from cptstudio.study.folder import read_report, read_study, study_names
from cptstudio.study.settings import StudySettings
from cptstudio.study.strategies import strategies
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.problems import NotFound
from cptstudio.web.studio import Studio
from cptstudio.writers.choice import WriterChoice


class StrategyFacts(LateModel):
    """A strategy; `by_rules`: templates can write it."""

    name: str
    title: str
    help: str
    by_rules: bool


class StudySummary(LateModel):
    """Study texts of a corpus; counts are null before the first check.

    Attributes:
        corpus: that they are made of.
        built: the corpus of this name is there.
        problem: why it cannot be read, or null.
    """

    name: str
    corpus: str | None = None
    writer: str | None = None
    written: int | None = None
    kept: int | None = None
    built: bool = False
    problem: str | None = None


class StudyList(LateModel):
    """All study texts by name, and the strategies."""

    studies: list[StudySummary]
    strategies: list[StrategyFacts]


class StudyDetail(LateModel):
    """What was asked for, and what was kept and dropped at the last time; null before that."""

    name: str
    corpus: str
    settings: dict[str, Any]
    writer: WriterChoice
    asked: str
    built: bool
    report: dict[str, Any] | None


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("study", __name__, url_prefix="/api")

    @route(bp, "GET", "/study", summary="List the study texts and the strategies")
    def show_all() -> StudyList:
        known = [
            StrategyFacts(
                name=one.name, title=one.title, help=one.help, by_rules=one.name in templates.CAN
            )
            for one in strategies().values()
        ]
        names = study_names(studio.workspace)
        return StudyList(studies=[_summary(studio, name) for name in names], strategies=known)

    @route(bp, "GET", "/study/<name>", summary="Study texts: what was asked, kept and dropped")
    def show(name: str) -> StudyDetail:
        if name not in study_names(studio.workspace):
            raise NotFound(f"There are no study texts called {name!r} in this workspace.")
        folder = studio.workspace.study(name)
        asked = read_study(folder)
        return StudyDetail(
            name=name,
            corpus=asked["corpus"],
            settings=asked["settings"],
            writer=WriterChoice.model_validate(asked["writer"]),
            asked=asked["asked"],
            built=name in studio.workspace.corpus_names(),
            report=read_report(folder),
        )

    @route(bp, "GET", "/study-schema", summary="JSON Schema of the settings of study texts")
    def study_schema() -> dict[str, Any]:
        return StudySettings.model_json_schema()

    return bp


def _summary(studio: Studio, name: str) -> StudySummary:
    folder = studio.workspace.study(name)
    try:
        asked = read_study(folder)
        report = read_report(folder) or {}
    except UserError as error:
        return StudySummary(name=name, problem=error.message)
    return StudySummary(
        name=name,
        corpus=asked["corpus"],
        writer=WriterChoice.model_validate(asked["writer"]).shown(),
        written=report.get("written"),
        kept=report.get("kept"),
        built=name in studio.workspace.corpus_names(),
    )
