"""Making the demo's model and corpora in the workspace on behalf of the page."""

from __future__ import annotations

from cptstudio.child_limits import for_files
from cptstudio.validation import LateModel
from cptstudio.web.studio import Studio
from cptstudio.web.work.jobs import Job, Order


class DemoBody(LateModel, extra="forbid"):
    """Nothing has to be said."""


def create(studio: Studio, body: DemoBody) -> Job:
    """Return a job; a small base model and two corpora come into this workspace.

    What is there already stays as it is. The result names what a first run needs.
    """
    studio.workspace.make(studio.workspace.base_models)
    studio.workspace.make(studio.workspace.corpora)
    return studio.jobs.start(
        "demo",
        "Creating the demo workspace",
        ("-m", "cptstudio.demo"),
        {"workspace": str(studio.workspace.root)},
        for_files(),
        key="demo",
        on="workspace",
    )


ORDERS = (Order("/demo", "Create the demo workspace", create),)
