"""What is asked of an export: from which checkpoint, under which name, compared how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Side
from cptstudio.evaluation.references import ModelReference, request_of
from cptstudio.validation import LateModel
from cptstudio.workspace import Workspace, check_new_name


class Compared(LateModel):
    """How an export is compared with its checkpoint."""

    side: Side = Field("validation", title="Split", description="Which held-out text is compared.")
    max_tokens: int = Field(
        4096,
        ge=256,
        le=10**7,
        title="Tokens of text",
        description="Held-out tokens whose log-probabilities are compared.",
        json_schema_extra={"unit": "tokens"},
    )
    prompts: int = Field(
        8,
        ge=1,
        le=200,
        title="Prompts",
        description="Number of prompts that both complete greedily.",
    )
    prompt_tokens: int = Field(
        48,
        ge=4,
        le=2048,
        title="Tokens per prompt",
        description="Length of each completion.",
        json_schema_extra={"unit": "tokens"},
    )


def export_folder(workspace: Workspace, name: str) -> Path:
    """Return where an export of a name will lie.

    Raises:
        UserError: the name is not allowed, or taken.
    """
    folder = workspace.export(name)
    if folder.exists() or folder.is_symlink():
        raise UserError(f"There is an export {name!r} already. Choose another name.")
    check_new_name(folder, "export")
    return folder


def request_for(
    source: ModelReference, folder: Path, compared: Compared, corpora: list[str], place: Workspace
) -> dict[str, Any]:
    """Return what every program that makes an export is asked.

    Args:
        corpora: names of those whose held-out text is compared on; empty for the domain corpora
            of the checkpoint's run that are there.

    Raises:
        UserError: there is no such corpus.
    """
    there = place.corpus_names()
    missing = [name for name in corpora if name not in there]
    if missing:
        raise UserError.at("corpora", f"There is no corpus {missing[0]!r} in this workspace.")
    names = corpora or [name for name in domain_corpora(source) if name in there]
    return {
        "workspace": place.root,
        "source": request_of(source),
        "folder": folder,
        "compared": compared.model_dump(),
        "corpora": [{"name": name, "path": place.corpus(name)} for name in names],
    }


def domain_corpora(source: ModelReference) -> list[str]:
    """Return the corpora that the checkpoint's run learned from; empty for a base model."""
    if source.run is None:
        return []
    uses = run_files.read_config(source.run).settings.data.corpora
    return [use.name for use in uses if use.role == "domain"]
