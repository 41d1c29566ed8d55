"""The hub's answers and refusals, in words; its library is imported only when it is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cptstudio.durable import integer
from cptstudio.errors import UserError
from cptstudio.job_programs import answer_request
from cptstudio.models.hub_address import check_online, endpoint

REQUEST_SECONDS = 30.0
_FOUND = 30


@contextmanager
def explained(what: str, *, download: bool = True) -> Iterator[None]:
    """Turn what goes wrong with the hub into sentences.

    Args:
        what: the model's id, or the search.
        download: files are fetched, of which some may be here already.

    Raises:
        UserError: says what to do.
    """
    import httpx2
    from huggingface_hub import errors

    kept = " What came is kept, so the same download continues." if download else ""
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{what} is gated: open {endpoint()}/{what} in a browser, accept its terms, and sign "
            "in on this machine with `hf auth login`. Then repeat the download."
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"The hub has no model {what}, or it is private. Check how it is written; for a "
            "private one sign in on this machine with `hf auth login`."
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{what} has no such branch, tag or commit.") from None
    except errors.OfflineModeIsEnabled:
        check_online()
        raise
    except errors.HfHubHTTPError as error:
        raise UserError(_refusal(what, error.response.status_code)) from None
    except httpx2.TimeoutException:
        raise UserError(
            f"The hub at {endpoint()} did not answer in time. Try again.{kept}"
        ) from None
    except (httpx2.TransportError, httpx2.TooManyRedirects):
        raise UserError(
            f"The hub at {endpoint()} cannot be reached. Is this machine online?{kept}"
        ) from None


@contextmanager
def understood() -> Iterator[None]:
    """Turn an answer that no hub gives into a sentence: what reading it raises."""
    try:
        yield
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        # What its library makes of a page that is no answer of a hub.
        raise UserError(
            f"{endpoint()} gave an answer that no hub gives. Does HF_ENDPOINT name a hub, and is "
            "no sign-in page of a network in between?"
        ) from None


def _refusal(what: str, status: int) -> str:
    if status in (401, 403):
        return (
            f"The hub refused {what} ({status}): your token may not read it. Sign in on this "
            "machine with `hf auth login`."
        )
    if status == 429:
        return "The hub refused further requests for now (429): wait some minutes and repeat."
    if status >= 500:
        return f"The hub has a problem of its own ({status}): try again later."
    return f"The hub refused {what} with the status {status}."


def search(words: str) -> list[dict[str, Any]]:
    """Models whose ids hold the words, the most downloaded first.

    Returns:
        For each: id, downloads, likes, updated (Unix seconds), gated.

    Raises:
        UserError: the hub could not be asked.
    """
    check_online()
    from huggingface_hub import get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    wanted = {"search": words, "filter": "safetensors", "sort": "downloads", "limit": str(_FOUND)}
    with explained(f"the search for {words!r}", download=False), understood():
        answer = get_session().get(
            f"{endpoint()}/api/models",
            params=wanted,
            headers=build_hf_headers(),
            timeout=REQUEST_SECONDS,
        )
        hf_raise_for_status(answer)
        listed = answer.json()
        return [_found(one) for one in listed[:_FOUND]]


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


def _search_for(request: dict[str, Any], _answer: object) -> dict[str, Any]:
    return {"found": search(str(request["words"]))}


if __name__ == "__main__":
    sys.exit(answer_request(_search_for))
