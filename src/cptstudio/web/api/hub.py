"""`/api/hub`: who the user is there, what is found there, cards as text.

Nothing here asks the hub by itself: each route does so once, when the user asked for it.
"""

from __future__ import annotations

from typing import Literal

import flask
from pydantic import Field, SecretStr

from cptstudio.models import hub_address
from cptstudio.models.account import account
from cptstudio.models.fetching import RepoKind
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, Nothing, route
from cptstudio.web.studio import Studio
from cptstudio.web.work import hub_work
from cptstudio.web.work.hub_work import LookQuery


class HubAccount(LateModel):
    """Whether there is a token for the hub on this machine; it itself is never told."""

    token: Literal["environment", "file"] | None = Field(description="Where one is.")
    variable: str | None = Field(description="Which of the environment's it is.")
    file: str = Field(description="Where it is kept, or would be.")
    hub: str
    offline: bool


class TokenBody(LateModel, extra="forbid"):
    """A token of the hub."""

    token: SecretStr


class Name(LateModel):
    """A user's name at the hub."""

    name: str


class SignedOut(LateModel):
    """What else can be done."""

    advice: str


class SearchQuery(LateModel, extra="forbid"):
    """Words to search for."""

    query: str = Field(min_length=1, max_length=200)


class HubDataset(LateModel):
    """A dataset on the hub."""

    id: str
    downloads: int | None
    likes: int | None
    updated: float | None
    gated: bool


class HubDatasets(LateModel):
    """What a search found, and where."""

    datasets: list[HubDataset]
    endpoint: str


class CardQuery(LateModel, extra="forbid"):
    """Whose card."""

    id: str = Field(min_length=1, max_length=200)
    kind: RepoKind = "model"


class Card(LateModel):
    """A card of the hub: text of a stranger, to be shown as text."""

    id: str
    license: str | None = Field(description="As the card names it.")
    base: str | None = Field(description="The model that it was made of, as the card names it.")
    text: str = Field(description="Without its front matter; Markdown.")
    page: str = Field(description="Its address at the hub.")


class SplitFacts(LateModel):
    """A split of a configuration; `rows` is null where only reading all of it would tell."""

    name: str
    files: int
    bytes: int
    rows: int | None


class ConfigurationFacts(LateModel):
    """One of the datasets that a repository holds."""

    name: str
    is_default: bool
    splits: list[SplitFacts]


class DatasetFacts(LateModel):
    """A dataset of the hub at a commit.

    `converted`: its own files are in no format that is read here; these are the hub's conversion
    to Parquet.
    """

    id: str
    revision: str
    commit: str
    license: str | None
    converted: bool
    configurations: list[ConfigurationFacts]


class FieldFacts(LateModel):
    """A field of a dataset's rows; `examples`: the beginnings of its first ones."""

    name: str
    is_text: bool
    examples: list[str]


class SplitBeginning(LateModel):
    """What the first rows of a split are like."""

    fields: list[FieldFacts]
    rows: int | None


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    del studio
    bp = flask.Blueprint("hub", __name__, url_prefix="/api/hub")

    @route(bp, "GET", "/account", summary="Whether there is a token for the hub")
    def show_account() -> HubAccount:
        """Asks nobody, and never tells the token."""
        known = account()
        return HubAccount(
            token=known.token,
            variable=known.variable,
            file=str(known.file),
            hub=hub_address.endpoint(),
            offline=hub_address.is_offline(),
        )

    @route(bp, "POST", "/account", summary="Sign in to the hub")
    def sign_in(body: TokenBody) -> Name:
        """Asks the hub whose token it is; it is kept in the file that huggingface_hub reads."""
        return Name(name=hub_work.sign_in(body.token.get_secret_value()))

    @route(bp, "POST", "/account/name", summary="Ask the hub whose token is kept here")
    def who(body: Nothing) -> Name:
        return Name(name=hub_work.who())

    @route(bp, "DELETE", "/account", summary="Sign out from the hub")
    def sign_out(body: Confirmed) -> SignedOut:
        """Deletes the token from the file, which other programs read, too."""
        return SignedOut(advice=hub_work.forget(confirmed=body.confirmed))

    @route(bp, "GET", "/card", summary="A model's or dataset's card, as text")
    def card(query: CardQuery) -> Card:
        """Asks the hub over the network, which nothing does unless the user asks for the card."""
        return Card(**hub_work.card(query.id, query.kind))

    @route(bp, "GET", "/datasets", summary="Search the hub for datasets")
    def datasets(query: SearchQuery) -> HubDatasets:
        """Asks the hub over the network, which nothing does unless the user searches."""
        found = [HubDataset(**one) for one in hub_work.search(query.query, "dataset")]
        return HubDatasets(datasets=found, endpoint=hub_address.endpoint())

    @route(bp, "GET", "/dataset", summary="What a dataset of the hub holds")
    def dataset(query: LookQuery) -> DatasetFacts:
        """Asks the hub for its card and the list of its files."""
        asked = query.model_copy(update={"configuration": None, "split": None})
        return DatasetFacts(**hub_work.look(asked))

    @route(bp, "GET", "/dataset/rows", summary="What the rows of a split are like")
    def rows(query: LookQuery) -> SplitBeginning:
        """Asks the hub for the beginning of the split's first file, and of Parquet for its size."""
        asked = query.model_copy(update={"split": query.split or "train"})
        return SplitBeginning(**hub_work.look(asked))

    return bp
