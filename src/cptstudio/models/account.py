"""Who the user is at the hub: a token, kept in the file that huggingface_hub reads.

It goes from the page or the terminal to a program's standard input, from there to the hub and to
that file, which only its owner may read. It is in no answer, log, configuration or command line.

The request, see `job_programs`: {"do": "sign-in", "token": TOKEN} or {"do": "who"}.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.job_programs import answer_request
from cptstudio.models.hub import explained, understood
from cptstudio.models.hub_address import check_online, endpoint

_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_TOKEN = re.compile(r"[!-~]{6,2000}")
_LIMIT = 16 * 1024


@dataclass(frozen=True)
class Account:
    """What this machine knows without asking the hub.

    Attributes:
        token: where one is: in the environment, which comes first, in the file, or nowhere.
        variable: which of the environment's it is.
        file: where it is kept, or would be.
    """

    token: Literal["environment", "file"] | None
    variable: str | None
    file: Path


def account() -> Account:
    """Return whether there is a token, and where; asks nobody."""
    file = _token_file()
    for name in _VARIABLES:
        if os.environ.get(name, "").strip():
            return Account("environment", name, file)
    return Account("file" if _saved(file) else None, None, file)


def sign_in(token: str) -> str:
    """Ask the hub whose token it is, and keep it; returns that user's name.

    Raises:
        UserError: it is no token, the hub does not know it, or it cannot be kept.
    """
    token = token.strip()
    if _TOKEN.fullmatch(token) is None:
        # Never with the token itself.
        raise UserError(
            f"That is no access token: make one at {endpoint()}/settings/tokens and paste it whole."
        )
    name = _name_of(token)
    file = _token_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write_bytes(file, token.encode("ascii"), mode=0o600)
    except OSError as error:
        raise UserError(f"The token cannot be kept in {file}: {error.strerror}.") from None
    return name


def sign_out() -> str:
    """Delete the token from its file; returns what else to do, or "".

    Raises:
        UserError: it cannot be deleted.
    """
    file = _token_file()
    token = _saved(file)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{file} cannot be deleted: {error.strerror}.") from None
    others = file.with_name("stored_tokens")
    try:
        known = durable.read_bytes(others, durable.MEBIBYTE)
    except (OSError, UserError):
        known = b""
    if token and token.encode() in known:
        return (
            f"`hf auth login` has kept it in {others}, too: `hf auth logout` deletes it there. To "
            f"make it worthless everywhere, revoke it at {endpoint()}/settings/tokens."
        )
    return f"To make the token worthless everywhere, revoke it at {endpoint()}/settings/tokens."


def who() -> str:
    """Ask the hub whose token is kept here; returns that user's name.

    Raises:
        UserError: there is none, or the hub does not know it.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token is None:
        raise UserError("You are not signed in to the hub.")
    return _name_of(token)


def _name_of(token: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    check_online()
    with explained("the question whose token this is", download=False), understood():
        try:
            return str(HfApi(endpoint=endpoint()).whoami(token)["name"])[:200]
        except HfHubHTTPError as error:
            if error.response.status_code != 401:
                raise
    raise UserError(
        f"The hub does not know this token: it was revoked, has expired, or was not pasted whole. "
        f"Make another at {endpoint()}/settings/tokens."
    )


def _token_file() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_TOKEN_PATH).expanduser()


def _saved(file: Path) -> str:
    # It may be a link, which the library follows, too.
    try:
        if not file.is_file():
            return ""
        with file.open("rb") as opened:
            return opened.read(_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _work(request: dict[str, Any], _answer: object) -> dict[str, Any]:
    if request["do"] == "who":
        return {"name": who()}
    return {"name": sign_in(str(request["token"]))}


if __name__ == "__main__":
    sys.exit(answer_request(_work))
