"""`/api/evaluation`: models that can be tested, suites, and the reports that tests leave."""

from __future__ import annotations

import flask

from cptstudio.errors import UserError
from cptstudio.evaluation.reports import NoReportError, Reports
from cptstudio.prompt_suites import read_suite, suite_file, suite_names, write_suite
from cptstudio.web.api.evaluation_models import (
    Report,
    ReportList,
    ReportQuery,
    ReportSummary,
    SuiteBody,
    SuiteFacts,
    SuiteList,
)
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions, evaluation_work, model_choices
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.model_choices import ModelChoices


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("evaluation", __name__, url_prefix="/api/evaluation")
    _add_models(bp, studio)
    _add_suites(bp, studio)
    _add_reports(bp, studio)
    return bp


def _add_models(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/models", summary="The models that can be tested")
    def models() -> ModelChoices:
        return model_choices.choices(studio)


def _add_suites(bp: flask.Blueprint, studio: Studio) -> None:
    @route(bp, "GET", "/suites", summary="List the prompt suites")
    def list_suites() -> SuiteList:
        return SuiteList(suites=[_facts(studio, name) for name in suite_names(studio.workspace)])

    @route(bp, "PUT", "/suites/<name>", summary="Save a suite")
    def save_suite(name: str, body: SuiteBody) -> SuiteFacts:
        """In the place of a former one of that name."""
        empty = [number for number, prompt in enumerate(body.prompts, 1) if not prompt]
        if empty:
            raise Problem.at(f"prompts.{empty[0] - 1}", f"Prompt {empty[0]} is empty.")
        write_suite(studio.workspace, name, body)
        return _facts(studio, name)

    @route(bp, "DELETE", "/suites/<name>", summary="Delete a suite")
    def delete_one_suite(name: str, body: Confirmed) -> Deleted:
        evaluation_work.check_suite(studio, name)
        if not body.confirmed:
            raise Problem(f"Confirm that the suite {name} is deleted. Its reports stay.")
        return deletions.discard(studio, "suite", name, [suite_file(studio.workspace, name)])


def _facts(studio: Studio, name: str) -> SuiteFacts:
    try:
        suite = read_suite(studio.workspace, name)
    except UserError as error:
        problem = " ".join([error.message, *error.problems])
        return SuiteFacts(name=name, prompts=[], sampling=None, problem=problem)
    return SuiteFacts(name=name, prompts=list(suite.prompts), sampling=suite.sampling)


def _add_reports(bp: flask.Blueprint, studio: Studio) -> None:
    reports = Reports(studio.workspace)

    @route(bp, "GET", "/reports", summary="List the kept reports")
    def list_reports(query: ReportQuery) -> ReportList:
        """Those that were made in the terminal are among them."""
        return ReportList(reports=[ReportSummary(**one) for one in reports.list(query.kind)])

    @route(bp, "GET", "/reports/<report_id>", summary="A kept report")
    def read_report(report_id: str) -> Report:
        try:
            return Report(**reports.read(report_id))
        except NoReportError as error:
            raise NotFound(error.message) from None

    @route(bp, "DELETE", "/reports/<report_id>", summary="Delete a report")
    def delete_report(report_id: str, body: Confirmed) -> Deleted:
        """What was measured stays, so that the same evaluation again takes no time."""
        if not body.confirmed:
            raise Problem("Confirm deleting the report.")
        try:
            path = reports.file(report_id)
        except NoReportError as error:
            raise NotFound(error.message) from None
        return deletions.discard(studio, "report", report_id, [path])
