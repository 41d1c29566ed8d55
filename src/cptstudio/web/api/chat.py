"""`/api/chat`: how the chats of models are formed."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.lm.chat_format import TAGS, Kind
from cptstudio.lm.chat_reader import read_chat_format
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio
from cptstudio.web.work import model_choices
from cptstudio.web.work.model_work import ModelQuery


class EndTokenView(LateModel):
    """A token that ends an answer."""

    id: int
    text: str
    named_by: list[str] = Field(
        description='Such as "chat template", "generation_config.json", "config.json", "tokenizer".'
    )


class ChatFormatView(LateModel):
    """How a model's chat is formed.

    Attributes:
        ends: tokens that end an answer, the chat template's own first.
        turn_end: the token that the template writes after an answer; null where it writes none.
        opens_thinking: tag with which the prompt of an answer ends; mostly empty.
        warning: what is wrong with the template, or what other programs would do otherwise.
    """

    has_template: bool
    ends: list[EndTokenView]
    turn_end: str | None
    opens_thinking: str
    warning: str | None


class AnswerTags(LateModel):
    """Tags around the parts of answers: start, end, kind; without an end a part takes the rest."""

    tags: list[tuple[str, str, Kind]]


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("chat", __name__, url_prefix="/api/chat")

    @route(bp, "GET", "/tags", summary="Tags around the parts of answers")
    def tags() -> AnswerTags:
        """Thinking and tool calls, as known chat templates mark them."""
        return AnswerTags(tags=list(TAGS))

    @route(bp, "GET", "/format", summary="How a model's chat is formed")
    def form(query: ModelQuery) -> ChatFormatView:
        """Applies the chat template, in a process with limits; an adapter's is its base's."""
        found = read_chat_format(model_choices.find(studio, query.id).model)
        return ChatFormatView(
            has_template=found.has_template,
            ends=[
                EndTokenView(id=end.id, text=end.text, named_by=list(end.named_by))
                for end in found.ends
            ],
            turn_end=found.turn_end,
            opens_thinking=found.opens_thinking,
            warning=found.warning,
        )

    return bp
