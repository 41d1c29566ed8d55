"""The base models to choose from: in the workspace, the Hugging Face cache, and other folders.

What can be trained on; the list of all models is `registry`'s, which takes these from here.

They are described from their configuration and the headers of their weights; nothing is
loaded. A model that cannot be used is listed with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cptstudio.errors import UserError
from cptstudio.lm.description import ModelDescription, read_model_config
from cptstudio.lm.merge_record import read_merge_record
from cptstudio.models import architectures, hugging_face_cache
from cptstudio.models.folder_facts import KnownFolders, why_not_loaded
from cptstudio.models.origin import Origin, read_origin
from cptstudio.workspace import Workspace

Place = Literal["workspace", "cache", "folder"]


@dataclass(frozen=True)
class Model:
    """A base model on this machine.

    Attributes:
        id: what names it in settings and on the command line: a name under models/base/, an id
            of the Hugging Face cache, or a folder's path.
        description: what it holds; None when that cannot be told.
        error: why it cannot be used; None when it can.
        origin: where it was downloaded from, when this studio did that.
        merge: which sum of models it is, when this studio saved it as one.
    """

    id: str
    name: str
    place: Place
    path: Path
    description: ModelDescription | None
    error: str | None
    origin: Origin | None = None
    merge: str | None = None


class ModelLibrary:
    """The models of one workspace's user.

    Args:
        folders: gives the folders that the user named besides.
        cache: the Hugging Face cache; by default the one that the environment says.

    Attributes:
        folders: what was read of model folders, for whoever asks about others.
    """

    def __init__(
        self,
        workspace: Workspace,
        folders: Callable[[], Iterable[Path]] = tuple,
        cache: Path | None = None,
    ) -> None:
        self._workspace = workspace
        self._named = folders
        self.cache = cache or hugging_face_cache.cache_folder()
        self.folders = KnownFolders()

    def models(self) -> list[Model]:
        """All of them: those of the workspace, of the folders, of the cache; each by name."""
        return [*self._in_workspace(), *self._in_folders(), *self._in_cache()]

    def find(self, model_id: str) -> Model:
        """Return a usable model by its id.

        Raises:
            UserError: it is not among them, or cannot be used.
        """
        for model in self.models():
            if model.id == model_id:
                if model.error is not None:
                    raise UserError(f"The model {model.name} cannot be used: {model.error}")
                return model
        raise UserError(
            f"There is no model {model_id!r} on this machine. Download it, or add its folder."
        )

    def _in_workspace(self) -> list[Model]:
        names = self._workspace.base_model_names()
        paths = {name: self._workspace.base_model(name) for name in names}
        return [
            replace(
                self._model(name, name, "workspace", path),
                origin=read_origin(path),
                merge=read_merge_record(path),
            )
            for name, path in paths.items()
        ]

    def _in_folders(self) -> list[Model]:
        found = [self._model(str(path), path.name, "folder", path) for path in self._named()]
        return sorted(found, key=lambda model: model.name.casefold())

    def _in_cache(self) -> list[Model]:
        own = set(self._workspace.base_model_names())
        found = []
        for cached in hugging_face_cache.cached_models(self.cache):
            # Where the id alone would mean another model, the folder's path names this one.
            means_it = cached.is_main and cached.name not in own
            model_id = cached.name if means_it else str(cached.path)
            model = self._model(model_id, cached.name, "cache", cached.path)
            if _is_language_model(model):
                found.append(model)
        return sorted(found, key=lambda model: model.name.casefold())

    def _model(self, model_id: str, name: str, place: Place, path: Path) -> Model:
        facts = self.folders.facts(path)
        if facts.description is None:
            return Model(model_id, name, place, path, None, facts.error)
        error = why_not_loaded(facts.description)
        return Model(model_id, name, place, path, facts.description, error)


def _is_language_model(model: Model) -> bool:
    """Whether a model of the cache is shown: the cache also holds what is no concern of ours."""
    if model.description is not None:
        return architectures.obstacle(model.description.model_type) is None
    try:
        config = read_model_config(model.path)
    except (UserError, OSError):
        return False
    return architectures.obstacle(config["model_type"]) is None
