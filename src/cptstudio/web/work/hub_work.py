"""What the hub is asked on behalf of the page, and corpora from its datasets.

A client of HTTP asks macOS for its proxies, and this worker is forked: there the system ends a
forked process that uses its frameworks. So each question is asked by a program of its own.
"""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from cptstudio.child_limits import for_a_look, for_files
from cptstudio.child_process import ask
from cptstudio.corpus.manifest import BuildChoices, BuildSettings
from cptstudio.errors import UserError
from cptstudio.models import hub_address
from cptstudio.models.account import account, sign_out
from cptstudio.models.fetching import RepoKind
from cptstudio.models.hub import WORDS_OF
from cptstudio.validation import LateModel, ReadsNumbers, field_of
from cptstudio.web.problems import Conflict, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work.corpus_work import key
from cptstudio.web.work.jobs import Job, Order
from cptstudio.workspace import check_name, check_new_name

_HUB = "cptstudio.models.hub"
_ACCOUNT = "cptstudio.models.account"
_LOOK = "cptstudio.datasets.look_program"
_BUILD = "cptstudio.datasets.corpus_program"
LONGEST_TOKEN = 2000


class DatasetBody(ReadsNumbers, BuildChoices, extra="forbid"):
    """Which dataset a corpus is built from, and how."""

    name: str = Field(min_length=1, max_length=64)
    id: str = Field(
        min_length=1, max_length=200, description='Such as "HuggingFaceFW/fineweb-edu".'
    )
    revision: str | None = Field(
        None, min_length=1, max_length=100, description="A branch, tag or commit; main by default."
    )
    configuration: str | None = Field(None, min_length=1, max_length=300)
    split: str | None = Field(None, min_length=1, max_length=300)
    rows: int | None = Field(
        None,
        title="Rows",
        description="At most so many, from the beginning of the split; all where left out.",
        ge=1,
        le=10_000_000_000,
    )
    model: str | None = Field(
        None, max_length=4096, description="Id of the model whose tokenizer makes the tokens."
    )
    validation: float = field_of(
        BuildSettings, "validation", validation_alias=AliasChoices("validation", "held_out")
    )
    allow_lossy_tokenizer: bool = Field(
        False, description="Tokenize even if the tokenizer loses more than 1% of the text."
    )


class LookQuery(LateModel, extra="forbid"):
    """Which dataset; with a split, what its rows are like."""

    id: str = Field(min_length=1, max_length=200)
    revision: str | None = Field(None, min_length=1, max_length=100)
    configuration: str | None = Field(None, min_length=1, max_length=300)
    split: str | None = Field(None, min_length=1, max_length=300)


def build_from_hub(studio: Studio, body: DatasetBody) -> Job:
    """Build a corpus from a dataset of the hub, as a job.

    Its files are fetched at a commit, which is kept with the corpus. A cancelled or broken
    download keeps what came; the same again continues it.

    Raises:
        UserError: the id is none, the hub may not be asked, or the name or the model cannot be
            used.
        Conflict: work on this corpus is under way.
    """
    _check("name", check_name, body.name, "corpus")
    _check("name", check_new_name, studio.workspace.corpus(body.name), "corpus")
    if body.name in studio.workspace.corpus_names():
        raise Problem.at("name", f"There is a corpus {body.name!r} already: choose another name.")
    _check_repo(body.id, "dataset", body.revision)
    model = studio.models.find(body.model).path if body.model is not None else None
    request = {
        "corpus": str(studio.workspace.corpus(body.name)),
        "downloads": str(studio.workspace.private / "hub"),
        "dataset": body.model_dump(include={"id", "revision", "configuration", "split", "rows"}),
        "settings": body.model_dump(mode="json", include=set(BuildSettings.model_fields)),
        "model": str(model) if model is not None else None,
        "allow_lossy": body.allow_lossy_tokenizer,
        "workers": body.workers,
    }
    studio.workspace.make(studio.workspace.corpora)
    return studio.jobs.start(
        "corpus",
        f"Building the corpus {body.name} from {body.id}",
        ("-m", _BUILD),
        request,
        for_files(),
        key=key(body.name),
        about=body.name,
        on="corpus",
    )


def search(words: str, kind: RepoKind) -> list[dict[str, Any]]:
    """Ask the hub for models or datasets.

    Raises:
        UserError: the hub could not be asked.
    """
    request = {"do": "search", "words": words, "kind": kind}
    found: list[dict[str, Any]] = _ask(_HUB, request, "The search")["found"]
    return found


def card(repo_id: str, kind: RepoKind) -> dict[str, Any]:
    """Ask the hub for a card.

    Raises:
        UserError: it is not there, or may not be read.
    """
    _check_repo(repo_id, kind, None)
    return _ask(_HUB, {"do": "card", "id": repo_id, "kind": kind}, "Reading the card")


def look(query: LookQuery) -> dict[str, Any]:
    """Ask the hub what a dataset holds, or what the rows of a split are like.

    Raises:
        UserError: it is not there, may not be read, or holds nothing that is read here.
    """
    _check_repo(query.id, "dataset", query.revision)
    request = query.model_dump(exclude_none=True)
    return _ask(_LOOK, request, "Looking into the dataset")


def sign_in(token: str) -> str:
    """Ask the hub whose token it is, and keep it; returns that user's name.

    Raises:
        UserError: the hub does not know it; never with the token.
        Conflict: the environment has a token, which comes first.
    """
    variable = account().variable
    if variable is not None:
        raise Conflict(
            f"{variable} is set where this server was started, and comes before any other token. "
            "Start the server without it to sign in here."
        )
    if len(token) > LONGEST_TOKEN:
        raise UserError("That is no access token: it is too long.")
    return str(_ask(_ACCOUNT, {"do": "sign-in", "token": token}, "Signing in")["name"])


def who() -> str:
    """Ask the hub whose token is kept here.

    Raises:
        UserError: there is none, or the hub does not know it.
    """
    return str(_ask(_ACCOUNT, {"do": "who"}, "Asking whose token it is")["name"])


def forget(*, confirmed: bool) -> str:
    """Delete the token; returns what else to do.

    Raises:
        Problem: it was not confirmed.
    """
    if not confirmed:
        raise Problem(
            f"Confirm that the token in {account().file} is deleted, which other programs that use "
            "the hub read, too."
        )
    return sign_out()


def _ask(module: str, request: dict[str, Any], what: str) -> dict[str, Any]:
    hub_address.check_online()
    limits = for_a_look("Check the network, then try again.", "Ask for something smaller.")
    return ask(("-m", module), request, limits, what=what)


def _check_repo(repo_id: str, kind: RepoKind, revision: str | None) -> None:
    _check("id", hub_address.check_id, repo_id, WORDS_OF[kind])
    if revision is not None:
        _check("revision", hub_address.check_revision, revision)
    hub_address.check_online()


def _check(field: str, check: Any, *arguments: Any) -> None:
    try:
        check(*arguments)
    except UserError as error:
        raise Problem.at(field, error) from None


ORDERS = (Order("/hub/corpora", "Build a corpus from a dataset of the hub", build_from_hub),)
