"""`/api/testing`: evaluations, merges, suites and questions as jobs, and the reports they leave."""

from __future__ import annotations

import flask

from cptstudio.errors import UserError
from cptstudio.prompt_suites import delete_suite, read_suite, suite_names, write_suite
from cptstudio.testing.reports import NoReportError, Reports
from cptstudio.web import model_choices, testing_work
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.api.testing_models import (
    EvaluationBody,
    MergeBody,
    QuestionsBody,
    Report,
    ReportList,
    ReportQuery,
    ReportSummary,
    SuiteBody,
    SuiteFacts,
    SuiteList,
    SuiteModels,
)
from cptstudio.web.jobs import Job
from cptstudio.web.model_choices import ModelChoices
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("testing", __name__, url_prefix="/api/testing")
    _add_work(bp, studio)
    _add_suites(bp, studio)
    _add_reports(bp, studio)
    return bp


def _add_work(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/models", summary="The models that can be tested", answer=ModelChoices)
    def models() -> ModelChoices:
        return model_choices.choices(studio)

    @route(
        bp, "POST", "/evaluations", summary="Measure models on held-out text",
        body=EvaluationBody, answer=Job, status=202,
    )  # fmt: skip
    def evaluate(body: EvaluationBody) -> Job:
        """A job; its result names the report. What was measured before is not measured again."""
        return testing_work.evaluate(studio, body)

    @route(
        bp, "POST", "/merges", summary="Merge models, measure the points, save one",
        body=MergeBody, answer=Job, status=202,
    )  # fmt: skip
    def merge(body: MergeBody) -> Job:
        """A job; its result names the report."""
        return testing_work.merge(studio, body)

    @route(
        bp, "POST", "/questions", summary="Let models answer questions", body=QuestionsBody,
        answer=Job, status=202,
    )  # fmt: skip
    def questions(body: QuestionsBody) -> Job:
        """A job; its result names the report. The file holds multiple-choice and cloze lines."""
        return testing_work.ask_questions(studio, body)


def _add_suites(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/suites", summary="List the prompt suites", answer=SuiteList)
    def list_suites() -> SuiteList:
        return SuiteList(suites=[_facts(studio, name) for name in suite_names(studio.workspace)])

    @route(bp, "PUT", "/suites/<name>", summary="Save a suite", body=SuiteBody, answer=SuiteFacts)
    def save_suite(name: str, body: SuiteBody) -> SuiteFacts:
        """In the place of a former one of that name."""
        empty = [number for number, prompt in enumerate(body.prompts, 1) if not prompt]
        if empty:
            raise Problem.at(f"prompts.{empty[0] - 1}", f"Prompt {empty[0]} is empty.")
        write_suite(studio.workspace, name, body)
        return _facts(studio, name)

    @route(bp, "DELETE", "/suites/<name>", summary="Delete a suite", body=Confirmed, status=204)
    def delete_one_suite(name: str, body: Confirmed) -> None:
        _check_suite(studio, name)
        if not body.confirmed:
            raise Problem(f"Confirm that the suite {name} is deleted. Its reports stay.")
        try:
            delete_suite(studio.workspace, name)
        except OSError as error:
            raise UserError(f"The suite {name} cannot be deleted: {error.strerror}.") from None

    @route(
        bp, "POST", "/suites/<name>/run", summary="Put a suite to models", body=SuiteModels,
        answer=Job, status=202,
    )  # fmt: skip
    def put_to_models(name: str, body: SuiteModels) -> Job:
        """A job; its result names the report with the matrix of prompts and models."""
        _check_suite(studio, name)
        return testing_work.run_suite(studio, name, body.models)


def _check_suite(studio: Studio, name: str) -> None:
    if name not in suite_names(studio.workspace):
        raise NotFound(f"There is no suite {name!r} in this workspace.")


def _facts(studio: Studio, name: str) -> SuiteFacts:
    try:
        suite = read_suite(studio.workspace, name)
    except UserError as error:
        problem = " ".join([error.message, *error.problems])
        return SuiteFacts(name=name, prompts=[], sampling=None, problem=problem)
    return SuiteFacts(name=name, prompts=list(suite.prompts), sampling=suite.sampling)


def _add_reports(bp: flask.Blueprint, studio: Studio) -> None:
    reports = Reports(studio.workspace)

    @route(
        bp, "GET", "/reports", summary="List the kept reports", query=ReportQuery,
        answer=ReportList,
    )  # fmt: skip
    def list_reports(query: ReportQuery) -> ReportList:
        """Those that were made in the terminal are among them."""
        return ReportList(reports=[ReportSummary(**one) for one in reports.list(query.kind)])

    @route(bp, "GET", "/reports/<report_id>", summary="A kept report", answer=Report)
    def read_report(report_id: str) -> Report:
        try:
            return Report(**reports.read(report_id))
        except NoReportError as error:
            raise NotFound(error.message) from None

    @route(
        bp, "DELETE", "/reports/<report_id>", summary="Delete a report", body=Confirmed,
        status=204,
    )  # fmt: skip
    def delete_report(report_id: str, body: Confirmed) -> None:
        """What was measured stays, so that the same evaluation again takes no time."""
        if not body.confirmed:
            raise Problem("Confirm that the report is deleted.")
        try:
            reports.delete(report_id)
        except NoReportError as error:
            raise NotFound(error.message) from None
