"""Where the hub is, and whether it may be asked; from the environment, as its library reads it."""

from __future__ import annotations

import os
import re

from cptstudio.errors import UserError

_EXAMPLES = {"model": "Qwen/Qwen3-0.6B-Base", "dataset": "HuggingFaceFW/fineweb-edu"}
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


def endpoint() -> str:
    """The hub's address without a slash at its end (HF_ENDPOINT)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Whether the user forbade all requests (HF_HUB_OFFLINE)."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in _TRUE for name in names)


def check_online() -> None:
    """Refuse to ask the hub where the user forbade it.

    Raises:
        UserError: says which variable forbids it.
    """
    if is_offline():
        raise UserError(
            "HF_HUB_OFFLINE is set. Start CPT Studio without it to search and download."
        )


def check_id(model_id: str, what: str = "model") -> str:
    """A model's id on the hub, or that of something else.

    Raises:
        UserError: it is none, for example an address or a path.
    """
    if _ID.fullmatch(model_id) is None or "--" in model_id or ".." in model_id:
        raise UserError(
            f"{model_id!r} is not a {what} ID. Use an ID such as "
            f"{_EXAMPLES.get(what, _EXAMPLES['model'])}, not a URL."
        )
    return model_id


def check_revision(revision: str) -> str:
    """A branch, tag or commit.

    Raises:
        UserError: it cannot be one.
    """
    if _REVISION.fullmatch(revision) is None or ".." in revision:
        raise UserError(f"{revision!r} is not a branch, tag or commit.")
    return revision
