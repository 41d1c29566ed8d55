"""Every model of this machine as one record: what it is, where it lies, what it was made from.

Base models, downloads, merges, exports, and the checkpoints of all runs. All of it is read from
small files and the headers of weights; what was read is kept for as long as the files stay as
they are. Nothing here loads MLX, so the web server may ask at every view.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from cptstudio import export_files, run_files
from cptstudio.durable import real_path
from cptstudio.errors import UserError
from cptstudio.export_files import ExportRecord
from cptstudio.lm.description import ModelDescription
from cptstudio.lm.merge_record import MergeRecord, read_merge
from cptstudio.models.folder_facts import FolderFacts, bytes_below
from cptstudio.models.kept_files import KeptFiles
from cptstudio.models.library import Model, ModelLibrary
from cptstudio.models.origin import Origin
from cptstudio.run_files import CheckpointManifest, RunConfig
from cptstudio.run_rows import best_of
from cptstudio.workspace import Workspace, why_model_is_absent

Kind = Literal["base", "downloaded", "merged", "exported", "checkpoint"]
KINDS: Final[tuple[Kind, ...]] = ("base", "downloaded", "merged", "exported", "checkpoint")
Place = Literal["workspace", "cache", "folder", "elsewhere", "missing"]
Relation = Literal["base", "parent", "part", "source", "card"]


_BASE_GONE: Final = "Its base model, a checkpoint of another run, was deleted."


@dataclass(frozen=True)
class Link:
    """One model that another was made from.

    Attributes:
        relation: "base", trained from it; "parent", a run that was forked from its checkpoint;
            "part", of a merge; "source", of an export; "card", as its card says.
        reference: of the model; None where it is none of this machine any more.
        label: what it was called.
        weight: in a merge.
    """

    relation: Relation
    reference: str | None
    label: str
    weight: float | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A model.

    Attributes:
        reference: what names it wherever a model is named.
        name: what it is called in a list.
        kind: how it came to be.
        place: "workspace"; the Hugging Face "cache"; a "folder" that the user added; "elsewhere",
            where only a run names it; "missing", which a run names and which is not there.
        folder: of the model, or of the adapter.
        bytes: of all its files.
        training_bytes: of them, what only a resume needs.
        created: Unix seconds; None where that is not known.
        adapter: it is put on its base.
        description: of the model; of an adapter's base or of a GGUF file's source, whose bytes and
            types are not its own.
        license: as its own card names it, or that of what it was made from.
        license_of: label of the model that names the license, where it is another one.
        error: why it cannot be used; None when nothing is known against it.
        run, step: of a checkpoint.
        best, last: among its run's checkpoints.
        domain_bits_per_byte: as its run measured it.
        method: how a checkpoint was trained.
        origin: where it was downloaded from, when this studio did that.
        merge: which sum of models it is.
        export: what an export says of itself.
        made_from: what it was made from, the nearest first.
    """

    reference: str
    name: str
    kind: Kind
    place: Place
    folder: Path
    bytes: int | None = None
    training_bytes: int | None = None
    created: float | None = None
    adapter: bool = False
    description: ModelDescription | None = None
    license: str | None = None
    license_of: str | None = None
    error: str | None = None
    run: str | None = None
    step: int | None = None
    best: bool = False
    last: bool = False
    domain_bits_per_byte: float | None = None
    method: str | None = None
    origin: Origin | None = None
    merge: str | None = None
    export: ExportRecord | None = None
    made_from: tuple[Link, ...] = ()

    @property
    def own_weights(self) -> ModelDescription | None:
        """The description, where it is of the very weights in the folder."""
        borrowed = self.adapter or (self.export is not None and self.export.format != "mlx")
        return None if borrowed else self.description

    @property
    def home(self) -> Path:
        """What its files lie in: its folder; in the Hugging Face cache, the folder of its blobs."""
        return self.folder.parent.parent if self.place == "cache" else self.folder


class ModelRegistry:
    """The models of one workspace's user.

    Args:
        workspace: whose runs and exports are among them.
        library: its base models, and what is known of model folders.
    """

    def __init__(self, workspace: Workspace, library: ModelLibrary) -> None:
        self._workspace = workspace
        self._library = library
        self._configs: KeptFiles[RunConfig] = KeptFiles(
            lambda file: run_files.read_config(file.parent)
        )
        self._manifests: KeptFiles[CheckpointManifest] = KeptFiles(
            lambda file: run_files.read_manifest(file.parent)
        )
        self._exports: KeptFiles[ExportRecord] = KeptFiles(
            lambda file: export_files.read_export(file.parent)
        )

    def records(self) -> list[ModelRecord]:
        """All of them: base models, what only runs name, merges, exports, checkpoints by run."""
        found = [self._of_library(model) for model in self._library.models()]
        found += self.exports()
        runs = dict(self._runs())
        known = {real_path(record.folder) for record in found}
        found += self._elsewhere(runs.values(), known)
        bases = {real_path(record.folder): record for record in found}
        # A run may begin with a checkpoint of a former one, which is known before it.
        checkpoints: dict[str, list[ModelRecord]] = {}
        for name, config in sorted(runs.items(), key=_when):
            checkpoints[name] = self._checkpoints(name, config, bases)
            bases |= {real_path(record.folder): record for record in checkpoints[name]}
        return list(_linked([*found, *itertools.chain(*(checkpoints[name] for name in runs))]))

    def exports(self) -> list[ModelRecord]:
        """Those that were made for other programs."""
        return [self._export(name) for name in self._workspace.export_names()]

    def _of_library(self, model: Model) -> ModelRecord:
        facts = self._library.folders.facts(model.path)
        kind: Kind = "base"
        if model.origin is not None or model.place == "cache":
            kind = "downloaded"
        elif model.merge is not None:
            kind = "merged"
        return ModelRecord(
            reference=model.id,
            name=model.name,
            kind=kind,
            place=model.place,
            folder=model.path,
            bytes=facts.bytes,
            created=model.origin.downloaded if model.origin else facts.changed,
            description=facts.description,
            license=facts.license,
            error=facts.obstacle,
            origin=model.origin,
            merge=model.merge,
            made_from=(
                *_parts(read_merge(model.path)),
                *(Link("card", None, one) for one in facts.bases),
            ),
        )

    def _export(self, name: str) -> ModelRecord:
        folder = self._workspace.export(name)
        record = ModelRecord(
            export_files.REFERENCE_PREFIX + name, name, "exported", "workspace", folder
        )
        try:
            export = self._exports.read(folder / export_files.EXPORT)
        except (UserError, OSError) as error:
            return replace(record, bytes=bytes_below(folder), error=str(error))
        source = Link("source", None, export.source.reference)
        record = replace(record, created=export.created, export=export, made_from=(source,))
        if export.format != "mlx":
            return replace(record, bytes=bytes_below(folder))
        return _with_facts(record, self._library.folders.facts(folder))

    def _runs(self) -> Iterator[tuple[str, RunConfig | UserError]]:
        for name in self._workspace.run_names():
            directory = self._workspace.run(name)
            try:
                yield name, self._configs.read(directory / run_files.CONFIG)
            except UserError as error:
                yield name, error
            except OSError as error:
                yield name, UserError(f"could not read {directory}: {error.strerror}.")

    def _elsewhere(
        self, configs: Iterable[RunConfig | UserError], known: set[Path]
    ) -> Iterator[ModelRecord]:
        """The base models that runs name and that are in no list."""
        paths = {Path(one.model_path) for one in configs if not isinstance(one, UserError)}
        for path in sorted(paths):
            if real_path(path) in known or _is_checkpoint(path, self._workspace):
                continue
            record = ModelRecord(str(path), path.name, "base", "elsewhere", path)
            absence = why_model_is_absent(path)
            if absence is not None:
                yield replace(record, place="missing", error=absence)
            else:
                yield _with_facts(record, self._library.folders.facts(path))

    def _checkpoints(
        self, run: str, config: RunConfig | UserError, bases: Mapping[Path, ModelRecord]
    ) -> list[ModelRecord]:
        base: ModelRecord | None = None
        made_from: tuple[Link, ...] = ()
        problem = None
        if isinstance(config, UserError):
            problem = str(config)
        else:
            path = Path(config.model_path)
            base = bases.get(real_path(path))
            made_from = _of_run(config, base)
        folders = run_files.checkpoints_of(self._workspace.run(run))
        found = [self._checkpoint(run, folder, base, made_from, problem) for folder in folders]
        best = best_of((one, one.domain_bits_per_byte) for one in found)
        last = found[-1] if found else None
        return [
            replace(one, best=one is best, last=one is last) if one is best or one is last else one
            for one in found
        ]

    def _checkpoint(
        self,
        run: str,
        folder: Path,
        base: ModelRecord | None,
        made_from: tuple[Link, ...],
        problem: str | None,
    ) -> ModelRecord:
        name = f"{run}@{folder.name}"
        facts: dict[str, Any] = {
            "run": run,
            "step": run_files.checkpoint_step(folder.name),
            "made_from": made_from,
        }
        try:
            file = folder / run_files.MANIFEST
            manifest = self._manifests.read(file)
            facts["created"] = file.stat().st_mtime
        except (UserError, OSError) as error:
            facts["error"] = problem or _told(error)
            return ModelRecord(name, name, "checkpoint", "workspace", folder, **facts)
        if manifest.layout == "adapter":
            facts["adapter"] = True
            facts["description"] = base.description if base else None
            facts["error"] = problem or (_of_base(base) if base else _BASE_GONE)
        else:
            whole = self._library.folders.facts(folder)
            facts["description"], facts["license"] = whole.description, whole.license
            facts["error"] = problem or whole.obstacle
        resume = f"{run_files.TRAINING_STATE}/"
        sizes = [(path, one.size) for path, one in manifest.files.items()]
        return ModelRecord(
            name,
            name,
            "checkpoint",
            "workspace",
            folder,
            bytes=sum(size for _, size in sizes),
            training_bytes=sum(size for path, size in sizes if path.startswith(resume)),
            domain_bits_per_byte=manifest.domain_bits_per_byte,
            method=manifest.method,
            **facts,
        )


def _when(run: tuple[str, RunConfig | UserError]) -> float:
    return 0.0 if isinstance(run[1], UserError) else run[1].created


def _is_checkpoint(path: Path, workspace: Workspace) -> bool:
    """Whether a folder is, or was, a checkpoint of this workspace, which is listed with its run."""
    if path.parent.name != run_files.CHECKPOINTS:
        return False
    return real_path(path.parent.parent.parent) == real_path(workspace.runs)


def _with_facts(record: ModelRecord, facts: FolderFacts) -> ModelRecord:
    return replace(
        record,
        bytes=facts.bytes,
        created=record.created or facts.changed,
        description=facts.description,
        license=facts.license,
        error=record.error or facts.obstacle,
    )


def _told(error: UserError | OSError) -> str:
    return str(error) if isinstance(error, UserError) else f"Could not read it: {error.strerror}."


def _of_base(base: ModelRecord) -> str | None:
    return None if base.error is None else f"Its base model cannot be used: {base.error}"


def _of_run(config: RunConfig, base: ModelRecord | None) -> tuple[Link, ...]:
    """What a run's checkpoints were made from."""
    found = [Link("base", base.reference if base else None, config.settings.model.path)]
    if base is None:
        # The former runs are deleted: what they began with is told all the same.
        found += [Link("base", None, stage.model) for stage in reversed(config.earlier)]
    if config.parent is not None:
        name = f"{config.parent.run}@{Path(config.parent.checkpoint).name}"
        found.insert(0, Link("parent", None, name))
    return tuple(found)


def _parts(merge: MergeRecord | None) -> tuple[Link, ...]:
    if merge is None:
        return ()
    if merge.parts:
        return tuple(Link("part", None, part.label, part.weight) for part in merge.parts)
    # Records of before have the sum in words only, such as "0.5 of first@step-00000200".
    words = dict.fromkeys(merge.label.replace(",", " ").split())
    return tuple(Link("part", None, word) for word in words if "@" in word)


def pick(reference: str, records: Iterable[ModelRecord]) -> ModelRecord:
    """The model that a reference names.

    Raises:
        UserError: there is none.
    """
    for record in records:
        if record.reference == reference:
            return record
    raise UserError(
        f"There is no model {reference!r} on this machine. It may have been deleted or moved."
    )


def _linked(records: list[ModelRecord]) -> Iterator[ModelRecord]:
    """Each with the references of what it was made from, and with the license of that."""
    known = {record.reference: record for record in records}
    by_folder: dict[Path, ModelRecord] = {}
    if any(link.label.startswith("/") for record in records for link in record.made_from):
        by_folder = {real_path(record.folder): record for record in records}
    by_id = {record.origin.id: record for record in records if record.origin}

    def linked(link: Link) -> Link:
        target = known.get(link.reference or link.label) or by_id.get(link.label)
        if target is None and link.label.startswith("/"):
            target = by_folder.get(real_path(Path(link.label)))
        if target is None:
            return replace(link, reference=None)
        return replace(link, reference=target.reference, label=target.reference)

    links = {
        record.reference: tuple(linked(link) for link in record.made_from) for record in records
    }
    for record in records:
        named = _license(record.reference, known, links, set())
        own = record.license
        source = known.get(links[record.reference][0].reference or "") if record.export else None
        yield replace(
            record,
            description=record.description or (source.description if source else None),
            made_from=links[record.reference],
            license=own or (named.license if named else None),
            license_of=None if own or named is None else named.name,
        )


def _license(
    reference: str,
    known: Mapping[str, ModelRecord],
    links: Mapping[str, tuple[Link, ...]],
    asked: set[str],
) -> ModelRecord | None:
    """The nearest model that names a license, of those that one was made from."""
    record = known.get(reference)
    if record is None or reference in asked:
        return None
    asked.add(reference)
    if record.license is not None:
        return record
    for link in links[reference]:
        found = _license(link.reference, known, links, asked) if link.reference else None
        if found is not None:
            return found
    return None
