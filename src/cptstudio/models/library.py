"""The base models to choose from: in the workspace, the Hugging Face cache, and other folders.

They are described from their configuration and the headers of their weights; nothing is
loaded. A model that cannot be used is listed with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.lm.description import ModelDescription, describe_model, read_model_config
from cptstudio.lm.merge_record import read_merge_record
from cptstudio.models import architectures, hugging_face_cache
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
    """

    def __init__(
        self,
        workspace: Workspace,
        folders: Callable[[], Iterable[Path]] = tuple,
        cache: Path | None = None,
    ) -> None:
        self._workspace = workspace
        self._folders = folders
        self.cache = cache or hugging_face_cache.cache_folder()
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[durable.FolderSignature, ModelDescription | UserError]] = {}

    def models(self) -> list[Model]:
        """All of them: those of the workspace, of the folders, of the cache; each by name."""
        found = [*self._in_workspace(), *self._in_folders(), *self._in_cache()]
        with self._lock:
            there = {model.path for model in found}
            self._known = {path: known for path, known in self._known.items() if path in there}
        return found

    def find(self, model_id: str) -> Model:
        """A usable model by its id.

        Raises:
            UserError: it is not among them, or cannot be used.
        """
        for model in self.models():
            if model.id == model_id:
                if model.error is not None:
                    raise UserError(f"The model {model.name} cannot be used: {model.error}")
                return model
        raise UserError(
            f"There is no model {model_id!r} among those of this machine. Download it, or add its "
            "folder."
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
        found = [self._model(str(path), path.name, "folder", path) for path in self._folders()]
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
        facts = self._describe(path)
        if isinstance(facts, UserError):
            return Model(model_id, name, place, path, None, str(facts))
        error = architectures.obstacle(facts.model_type)
        if error is None and facts.needs_remote_code:
            error = (
                "it brings Python code of its own, which would have to be run to load it. This "
                "server runs no code of models."
            )
        return Model(model_id, name, place, path, facts, error)

    def _describe(self, path: Path) -> ModelDescription | UserError:
        """A description, read again only when a file of the model changed."""
        signature = durable.folder_signature(path)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        facts: ModelDescription | UserError
        try:
            facts = describe_model(path)
        except UserError as error:
            facts = error
        except OSError as error:
            facts = UserError(f"{path} cannot be read: {error.strerror}.")
        with self._lock:
            self._known[path] = (signature, facts)
        return facts


def _is_language_model(model: Model) -> bool:
    """Whether a model of the cache is shown: the cache also holds what is no concern of ours."""
    if model.description is not None:
        return architectures.obstacle(model.description.model_type) is None
    try:
        config = read_model_config(model.path)
    except (UserError, OSError):
        return False
    return architectures.obstacle(config["model_type"]) is None
