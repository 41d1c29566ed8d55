"""Who is to write, as the user said, and what that means in a workspace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference, resolve_reference
from cptstudio.remote_endpoints.confirmed import RemoteEndpoint, find
from cptstudio.validation import LateModel
from cptstudio.workspace import Workspace
from cptstudio.writers.cost import Cost

WriterKind = Literal["templates", "model", "endpoint"]
MOST_PARALLEL = 16


class WriterChoice(LateModel, extra="forbid", frozen=True):
    """Who writes.

    Attributes:
        kind: rules without a model, a model of this machine, or an endpoint.
        model: what names a local model, or as the endpoint calls it.
        endpoint: id, address or host of a confirmed endpoint.
    """

    kind: WriterKind = "templates"
    model: str | None = Field(None, min_length=1, max_length=4096)
    endpoint: str | None = Field(None, min_length=1, max_length=500)

    def shown(self) -> str:
        """Return who writes, for people."""
        if self.kind == "templates":
            return "templates"
        return f"{self.model} at {self.endpoint}" if self.kind == "endpoint" else str(self.model)

    def check(self, workspace: Workspace) -> None:
        """Refuse a model that is not there, and an endpoint that was not confirmed.

        Raises:
            UserError: says which.
        """
        if self.kind == "templates":
            return
        if self.model is None:
            raise UserError.at("writer", "Name the model that writes.")
        if self.kind == "endpoint":
            if self.endpoint is None:
                raise UserError.at("writer", "Name an endpoint that you confirmed.")
            self.endpoint_in(workspace)
        else:
            self.reference_in(workspace)

    def endpoint_in(self, workspace: Workspace) -> RemoteEndpoint:
        """Return the endpoint that writes.

        Raises:
            UserError: it was not confirmed.
        """
        assert self.endpoint is not None
        return find(workspace, self.endpoint)

    def reference_in(self, workspace: Workspace) -> ModelReference:
        """Return the model of this machine that writes.

        Raises:
            UserError: there is no such model.
        """
        assert self.model is not None
        return resolve_reference(self.model, workspace)

    def cost_in(self, workspace: Workspace) -> Cost:
        """Return a sum that is to be counted, at the prices of the endpoint."""
        if self.kind != "endpoint":
            return Cost()
        endpoint = self.endpoint_in(workspace)
        return Cost(endpoint.price_in, endpoint.price_out)
