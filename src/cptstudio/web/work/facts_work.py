"""Making and asking facts on behalf of the page, and looking for leaks: jobs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from cptstudio.child_limits import Limits, for_files, for_models
from cptstudio.errors import UserError
from cptstudio.evaluation.references import request_of
from cptstudio.facts.choices import MakeChoices
from cptstudio.facts.programs import ASK, LEAKS, MAKE
from cptstudio.ledgers.ledger import ledger_folder, ledger_names, read_ledger
from cptstudio.validation import ReadsNumbers
from cptstudio.web.problems import NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.jobs import Job, Order

Name = Annotated[str, Field(min_length=1, max_length=64)]
Reference = Annotated[str, Field(min_length=1, max_length=4096)]


class MakeBody(ReadsNumbers, MakeChoices, extra="forbid", allow_inf_nan=False):
    """The corpus that cloze facts are made of, and how."""

    corpus: Name


class AskBody(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """Which models are asked; the first one is the baseline."""

    models: list[Reference] = Field(min_length=1, max_length=16)
    open_book: bool = Field(True, description="Also with the source text in the context.")
    said: bool = Field(True, description="Also in the model's own words.")
    per_byte: bool = Field(False, description="Divide likelihoods by the bytes of each option.")


class LeaksBody(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """Whose training text is looked through: a run's, or that of corpora."""

    run: Name | None = None
    corpora: list[Name] = Field(default_factory=list, max_length=64)


def check_ledger(studio: Studio, name: str) -> None:
    """Refuse the name of a ledger that is not there.

    Raises:
        NotFound: it is not.
    """
    if name not in ledger_names(studio.workspace):
        raise NotFound(f"There is no ledger {name!r} in this workspace.")


def make_facts(studio: Studio, name: str, body: MakeBody) -> Job:
    """Return a job that adds cloze facts; the ledger is created if it is not there.

    Raises:
        UserError: the ledger's name cannot be used, or there is no such corpus.
    """
    try:
        ledger_folder(studio.workspace, name)
    except UserError as error:
        raise Problem.at("name", error) from None
    _check_corpora(studio, [body.corpus], "corpus")
    request = {
        "ledger": name,
        "corpus": body.corpus,
        "choices": body.model_dump(mode="json", include=set(MakeChoices.model_fields)),
    }
    return _start(
        studio, "facts-make", f"Making facts of {body.corpus}", MAKE, request, for_files()
    )


def ask_ledger(studio: Studio, name: str, body: AskBody) -> Job:
    """Return a job; its result names the report with what each model knows.

    Raises:
        NotFound: there is no such ledger.
        UserError: the ledger or a model cannot be used.
    """
    check_ledger(studio, name)
    read_ledger(studio.workspace, name)
    models = model_choices.find_all(studio, body.models, "models")
    request = {
        "ledger": name,
        "models": [request_of(model) for model in models],
        "how": body.model_dump(include={"open_book", "said", "per_byte"}),
        "fast_blas": True,
    }
    listed = ", ".join(model.label for model in models[:3])
    return _start(
        studio, "facts-ask", f"Asking {listed} the facts of {name}", ASK, request, for_models()
    )


def look_for_leaks(studio: Studio, name: str, body: LeaksBody) -> Job:
    """Return a job; its result names the report with what was found in training text.

    Raises:
        NotFound: there is no such ledger.
        UserError: neither or both of run and corpora are given, or one is not there.
    """
    check_ledger(studio, name)
    if (body.run is None) == (not body.corpora):
        raise Problem.at("run", "Choose a run, or corpora.")
    if body.run is not None and body.run not in studio.workspace.run_names():
        raise Problem.at("run", f"There is no run {body.run!r} in this workspace.")
    _check_corpora(studio, body.corpora, "corpora")
    request = {"ledger": name, "run": body.run, "corpora": list(dict.fromkeys(body.corpora))}
    title = f"Looking for leaks of {name}"
    return _start(studio, "facts-leaks", title, LEAKS, request, for_files())


def _check_corpora(studio: Studio, names: list[str], field: str) -> None:
    for name in names:
        if name not in studio.workspace.corpus_names():
            raise Problem.at(field, f"There is no corpus {name!r} in this workspace.")


def _start(
    studio: Studio, kind: str, title: str, module: str, request: dict[str, Any], limits: Limits
) -> Job:
    name = request["ledger"]
    return studio.jobs.start(
        kind,
        title,
        ("-m", module),
        {"workspace": studio.workspace.root, **request},
        limits,
        key=f"ledger {name} {kind}",
        about=name,
        on="ledger",
    )


ORDERS = (
    Order("/facts/<name>/make", "Make cloze facts from a corpus", make_facts),
    Order("/facts/<name>/ask", "Ask models a ledger", ask_ledger),
    Order("/facts/<name>/leaks", "Look for a ledger in training text", look_for_leaks),
)
