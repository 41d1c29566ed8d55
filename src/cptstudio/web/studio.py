"""`Studio`: what every part of the web interface works with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cptstudio.web.news import News
from cptstudio.web.options import ServerOptions
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from cptstudio.models.library import ModelLibrary
    from cptstudio.models.registry import ModelRegistry
    from cptstudio.runs.on_run_end.next_in_queue import QueueRunner
    from cptstudio.runs.training_manager import TrainingManager
    from cptstudio.serving.endpoints import Endpoints
    from cptstudio.trash import Trash
    from cptstudio.web.files.allowed_folders import AllowedFolders
    from cptstudio.web.files.uploads import Uploads
    from cptstudio.web.runs.run_library import RunLibrary
    from cptstudio.web.work.inference_tasks import InferenceTasks
    from cptstudio.web.work.jobs import JobRunner
    from cptstudio.web.work.playground_history import PlaygroundHistory


@dataclass
class Studio:
    """One workspace, served.

    Attributes:
        workspace: its folders.
        manager: all that is done with runs.
        jobs: long work that is no training.
        options: how the server was started.
        boot_id: new with every start of a server, so that a page knows when to fetch anew.
        queue_runner: starts the waiting runs; None where nobody serves, as in a test.
        news: what changed, for whoever tells the pages.
    """

    workspace: Workspace
    manager: TrainingManager
    jobs: JobRunner
    options: ServerOptions
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    news: News = field(default_factory=News)
    queue_runner: QueueRunner | None = None

    @cached_property
    def run_library(self) -> RunLibrary:
        """What is known about runs."""
        from cptstudio.web.runs.run_library import RunLibrary

        return RunLibrary(self.workspace, self.manager)

    @cached_property
    def allowed_folders(self) -> AllowedFolders:
        """Folders outside the workspace that the user allowed."""
        from cptstudio.web.files.allowed_folders import AllowedFolders

        return AllowedFolders(self.workspace, self.options.allow_roots)

    @cached_property
    def uploads(self) -> Uploads:
        """Files that the page sent."""
        from cptstudio.web.files.uploads import Uploads

        return Uploads(self.workspace)

    @cached_property
    def inference(self) -> InferenceTasks:
        """The models in memory, and what is asked of them. Nothing runs before it is asked."""
        from cptstudio.web.work.inference_tasks import InferenceTasks

        return InferenceTasks(lambda: self.news.publish("inference", {}))

    @cached_property
    def endpoints(self) -> Endpoints:
        """The models that are served to other programs."""
        from cptstudio.serving.endpoints import Endpoints

        return Endpoints(self.workspace)

    @cached_property
    def playground_history(self) -> PlaygroundHistory:
        """What was asked in the playground."""
        from cptstudio.web.work.playground_history import PlaygroundHistory

        return PlaygroundHistory(self.workspace)

    @cached_property
    def trash(self) -> Trash:
        """What was deleted and can be put back."""
        from cptstudio.web.work.restoring import make_trash

        labels, queue = self.run_library.labels, self.manager.queue
        folders, history = self.allowed_folders, self.playground_history
        return make_trash(self.workspace, labels, queue, folders, history)

    @cached_property
    def models(self) -> ModelLibrary:
        """The models that can be chosen."""
        from cptstudio.models.library import ModelLibrary

        return ModelLibrary(self.workspace, self.allowed_folders.model_folders)

    @cached_property
    def registry(self) -> ModelRegistry:
        """All models, with what they were made from."""
        from cptstudio.models.registry import ModelRegistry

        return ModelRegistry(self.workspace, self.models)


def make_studio(options: ServerOptions) -> Studio:
    """Return the studio of the options' workspace. Nothing is created or started by it."""
    from cptstudio.runs.training_manager import TrainingManager
    from cptstudio.web.work.jobs import JobRunner

    workspace = Workspace(options.workspace)
    workspace.hold()
    return Studio(
        workspace=workspace,
        manager=TrainingManager(workspace, detect=None if options.detect else False),
        jobs=JobRunner(),
        options=options,
    )
