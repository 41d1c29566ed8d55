"""The hub's answers and refusals, in words; its library is imported only when it is asked.

The request to the program, see `job_programs`: {"do": "search", "words": WORDS, "kind": KIND} or
{"do": "card", "id": ID, "kind": KIND}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cptstudio.durable import MEBIBYTE, integer
from cptstudio.errors import UserError
from cptstudio.job_programs import answer_request
from cptstudio.models.card import CARD, CARD_LIMIT, body_of, front_matter
from cptstudio.models.fetching import REQUEST_SECONDS, RepoKind, address_of
from cptstudio.models.hub_address import check_id, check_online, endpoint
from cptstudio.models.license import license_of

HOW_TO_SIGN_IN = "sign in to the hub on the Models page, or with `cpt-studio models sign-in`"
_FOUND = 30
_ANSWER_LIMIT = 8 * MEBIBYTE


WORDS_OF: dict[RepoKind, str] = {"model": "model", "dataset": "dataset"}
"""How people call what a repository holds."""
_PLACE: dict[RepoKind, str] = {"model": "", "dataset": "datasets/"}


def page_of(kind: RepoKind, repo_id: str) -> str:
    """Return the address of a repository's page."""
    return f"{endpoint()}/{_PLACE[kind]}{repo_id}"


@contextmanager
def explained(what: str, *, kind: RepoKind = "model", download: bool = True) -> Iterator[None]:
    """Turn what goes wrong with the hub into sentences.

    Args:
        what: the repository's id, or the search.
        kind: what the repository holds.
        download: files are fetched, of which some may be here already.

    Raises:
        UserError: says what to do.
    """
    import httpx2
    from huggingface_hub import errors

    kept = " Repeat the download to continue it." if download else ""
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(_gated(kind, what)) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"The hub has no {WORDS_OF[kind]} {what}, or it is private. Check the "
            f"spelling; for a private one, {HOW_TO_SIGN_IN}."
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{what} has no such branch, tag or commit.") from None
    except errors.EntryNotFoundError:
        raise UserError(
            f"The hub has no such file of {what}, or your token may not read it. Open {what} again."
        ) from None
    except errors.OfflineModeIsEnabled:
        check_online()
        raise
    except errors.HfHubHTTPError as error:
        raise UserError(_refusal(what, error.response.status_code)) from None
    except httpx2.TimeoutException:
        raise UserError(f"{endpoint()} did not answer in time. Try again.{kept}") from None
    except (httpx2.TransportError, httpx2.TooManyRedirects):
        raise UserError(f"Can't reach {endpoint()}. Check your connection.{kept}") from None


def _gated(kind: RepoKind, repo_id: str) -> str:
    from huggingface_hub import get_token

    page = page_of(kind, repo_id)
    if get_token() is None:
        return (
            f"{repo_id} is gated. Open {page} in a browser and request access or accept "
            f"its terms, then {HOW_TO_SIGN_IN}, and try again."
        )
    return (
        f"{repo_id} is gated, and your account has no access. Open {page} in a browser "
        "and request access or accept its terms; its authors may have to approve it. "
        'Then try again. A fine-grained token also needs the permission to read "public '
        'gated repositories".'
    )


@contextmanager
def understood() -> Iterator[None]:
    """Turn an answer that no hub gives into a sentence: what reading it raises."""
    try:
        yield
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        # What its library makes of a page that is no answer of a hub.
        raise UserError(
            f"{endpoint()} did not answer like a hub. Check HF_ENDPOINT, and whether the "
            "network has a sign-in page."
        ) from None


def _refusal(what: str, status: int) -> str:
    if status in (401, 403):
        return (
            f"The hub refused {what} ({status}): your token does not allow it, or was "
            f"revoked. To use another one, {HOW_TO_SIGN_IN}."
        )
    if status == 429:
        return "Too many requests to the hub (429). Wait a few minutes and try again."
    if status >= 500:
        return f"The hub has a problem ({status}). Try again later."
    return f"The hub refused {what} with status {status}."


def search(words: str, kind: RepoKind = "model") -> list[dict[str, Any]]:
    """Repositories whose ids hold the words, the most downloaded first.

    Returns:
        For each: id, downloads, likes, updated (Unix seconds), gated.

    Raises:
        UserError: the hub could not be asked.
    """
    check_online()
    wanted = {"search": words, "sort": "downloads", "limit": str(_FOUND)}
    if kind == "model":
        wanted["filter"] = "safetensors"
    with explained(f"the search for {words!r}", download=False), understood():
        listed = json.loads(_get(f"{endpoint()}/api/{kind}s", wanted))
        return [_found(one) for one in listed[:_FOUND]]


def card_at(kind: RepoKind, repo_id: str, revision: str) -> str:
    """Return a repository's card; "" where it has none. To be called within `explained`."""
    from huggingface_hub.errors import EntryNotFoundError

    url, _ = address_of(kind, repo_id, revision, CARD)
    try:
        return _get(url, {})[:CARD_LIMIT].decode("utf-8", "replace")
    except EntryNotFoundError:
        return ""


def card(repo_id: str, kind: RepoKind = "model") -> dict[str, Any]:
    """Ask the hub for a repository's card.

    Returns:
        id, license and base (as the card names them), text (without its front matter), page (the
        address at the hub).

    Raises:
        UserError: it is not there, or may not be read.
    """
    check_id(repo_id, WORDS_OF[kind])
    check_online()
    with explained(repo_id, kind=kind, download=False), understood():
        text = card_at(kind, repo_id, "main")
    matter = front_matter(text)
    base = matter.get("base_model")
    return {
        "id": repo_id,
        "license": license_of(matter),
        "base": base if isinstance(base, str) else None,
        "text": body_of(text),
        "page": page_of(kind, repo_id),
    }


def _get(url: str, params: dict[str, str]) -> bytes:
    """What an address of the hub answers, as far as `_ANSWER_LIMIT`."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    with get_session().stream(
        "GET", url, params=params, headers=build_hf_headers(), timeout=REQUEST_SECONDS
    ) as answer:
        hf_raise_for_status(answer)
        data = bytearray()
        for part in answer.iter_bytes():
            data += part
            if len(data) > _ANSWER_LIMIT:
                break
    return bytes(data)


def _found(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(one["id"]),
        "downloads": integer(one.get("downloads")),
        "likes": integer(one.get("likes")),
        "updated": _seconds(one.get("lastModified") or one.get("createdAt")),
        "gated": bool(one.get("gated")),
    }


def _seconds(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None


def _work(request: dict[str, Any], _answer: object) -> dict[str, Any]:
    kind: RepoKind = "dataset" if request.get("kind") == "dataset" else "model"
    if request["do"] == "card":
        return card(str(request["id"]), kind)
    return {"found": search(str(request["words"]), kind)}


if __name__ == "__main__":
    sys.exit(answer_request(_work))
