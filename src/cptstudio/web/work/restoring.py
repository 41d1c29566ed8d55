"""How each kind of thing that was deleted is put back, where moving its files is not all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cptstudio.runs.queue import Queue
from cptstudio.trash import Restorer, Trash
from cptstudio.web.files.allowed_folders import AllowedFolders
from cptstudio.web.runs.labels import Label, Labels
from cptstudio.web.work.playground_history import PlaygroundHistory
from cptstudio.workspace import Workspace


def make_trash(
    workspace: Workspace,
    labels: Labels,
    queue: Queue,
    folders: AllowedFolders,
    history: PlaygroundHistory,
) -> Trash:
    """Return the workspace's trash, which knows how each kind of thing is put back."""

    def queue_again(memory: Mapping[str, Any]) -> None:
        if "waiting" in memory and workspace.run(memory["waiting"]["run"]).is_dir():
            queue.put_back(memory)

    def put_run_back(memory: Mapping[str, Any]) -> None:
        if "label" in memory:
            label = Label.model_validate(memory["label"])
            labels.set(memory["run"], label.created, label.tags, label.note)
        if memory["pinned"] and labels.all()[1] is None:
            labels.pin(memory["run"], memory["created"])
        queue_again(memory)

    def added_by(add: Callable[[str], object]) -> Callable[[Mapping[str, Any]], None]:
        def add_again(memory: Mapping[str, Any]) -> None:
            add(memory["path"])

        return add_again

    trash = Trash(workspace)
    trash.restores("run", Restorer(put_run_back))
    trash.restores("queued run", Restorer(queue_again))
    trash.restores("history entry", Restorer(history.put_back))
    trash.restores("history", Restorer(merge=history.merge))
    trash.restores("folder", Restorer(added_by(folders.add_root)))
    trash.restores("model folder", Restorer(added_by(folders.add_model_folder)))
    return trash
