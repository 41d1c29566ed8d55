"""The key of an endpoint: from the environment or the system's keyring, and from there to its host.

It is in no file of ours, no log, answer, configuration or command line. The keyring is macOS's
Keychain or the Secret Service of Linux, through the library `keyring`.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.remote_endpoints.confirmed import RemoteEndpoint

_SERVICE: Final = "cpt-studio"
_KEY: Final = re.compile(r"[!-~]{1,2000}")
# What `keyring` gives backends that keep secrets as a system does.
_RECOMMENDED: Final = 1


def key_of(endpoint: RemoteEndpoint) -> str | None:
    """Return an endpoint's key, or None where it needs none.

    Raises:
        UserError: there should be one, and there is none.
    """
    if endpoint.key == "none":
        return None
    if endpoint.key == "environment":
        key = os.environ.get(endpoint.variable or "", "").strip()
        if not key:
            raise UserError(
                f"The environment variable {endpoint.variable}, which should hold the key of "
                f"{endpoint.host}, is not set. Set it and start CPT Studio again from there."
            )
    else:
        key = (_asked("read", endpoint) or "").strip()
        if not key:
            raise UserError(
                f"The system's keyring has no key for {endpoint.host}. Keep one with "
                f"`cpt-studio remote key {endpoint.address}`."
            )
    if _KEY.fullmatch(key) is None:
        # Never with the key itself.
        raise UserError(f"What is kept as the key of {endpoint.host} cannot be one. Keep it again.")
    return key


def keep_key(endpoint: RemoteEndpoint, key: str) -> None:
    """Keep a key in the system's keyring.

    Raises:
        UserError: it cannot be a key, or there is no keyring.
    """
    key = key.strip()
    if _KEY.fullmatch(key) is None:
        raise UserError.at("secret", "This cannot be an API key. Paste the whole key.")
    _asked("keep", endpoint, key)


def forget_key(endpoint: RemoteEndpoint) -> bool:
    """Delete an endpoint's key from the keyring; returns whether there was one."""
    if why_no_keyring() is not None or _asked("read", endpoint) is None:
        return False
    _asked("forget", endpoint)
    return True


def why_no_keyring() -> str | None:
    """Return why keys cannot be kept in the system's keyring, or None where they can."""
    try:
        import keyring
    except ImportError:
        return (
            "Keys cannot be kept in the system's keyring, since the package keyring is not "
            "installed: `pip install 'cpt-studio[keyring]'`. Use an environment variable."
        )
    backend: Any = keyring.get_keyring()
    try:
        usable = backend.priority >= _RECOMMENDED
    except Exception:
        usable = False  # It says so by raising whatever it likes.
    # A chain of several is as good as its best one.
    usable = usable or any(one.priority >= _RECOMMENDED for one in getattr(backend, "backends", ()))
    if usable:
        return None
    return (
        "This machine has no keyring that can be used (macOS Keychain, Secret Service). Use an "
        "environment variable."
    )


def _asked(do: str, endpoint: RemoteEndpoint, key: str = "") -> str | None:
    why = why_no_keyring()
    if why is not None:
        raise UserError(why)
    import keyring

    try:
        if do == "read":
            return keyring.get_password(_SERVICE, endpoint.address)
        if do == "keep":
            keyring.set_password(_SERVICE, endpoint.address, key)
        else:
            keyring.delete_password(_SERVICE, endpoint.address)
    except Exception as error:
        # Backends raise their own; none of their texts is sure to be without the key.
        raise UserError(
            f"The system's keyring refused to {do} the key of {endpoint.host} "
            f"({type(error).__name__}). Unlock it, or use an environment variable."
        ) from None
    return None
