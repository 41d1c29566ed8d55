"""A workspace with a model that chats and one that does not, and endpoints that end with a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cptstudio.evaluation.references import resolve_reference
from cptstudio.serving.endpoints import Endpoints
from cptstudio.serving.facts import EndpointFacts
from cptstudio.workspace import Workspace
from tests.toy_models import make_toy_model
from tests.web.server_process import wait_for

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Has the base models "chatty" and "plain"; nobody writes into their folders."""
    found = Workspace(tmp_path_factory.mktemp("serving") / "workspace")
    make_toy_model("qwen3", found.make(found.base_models) / "chatty")
    make_toy_model("llama", found.base_models / "plain")
    (found.base_models / "chatty" / "chat_template.jinja").write_text(TEMPLATE)
    return found


@pytest.fixture(scope="session")
def endpoints(workspace: Workspace) -> Iterator[Endpoints]:
    """Of that workspace."""
    found = Endpoints(workspace)
    yield found
    for one in found.all():
        found.stop(one.id)


def loaded(endpoints: Endpoints, id: str) -> EndpointFacts:
    """Wait until an endpoint has its model, or has ended: minutes, where a machine is busy."""
    for _ in range(5):
        try:
            wait_for(lambda: endpoints.one(id).state != "loading", "the model")
        except AssertionError:
            continue
        break
    return endpoints.one(id)


@pytest.fixture(scope="session")
def chatty(endpoints: Endpoints, workspace: Workspace) -> EndpointFacts:
    """An endpoint of the model that chats; nobody stops it."""
    return loaded(endpoints, endpoints.start(resolve_reference("chatty", workspace), at_once=2).id)
