"""A file of the hub, read from any place in it without fetching the whole."""

from __future__ import annotations

import io
import time
from typing import Any

from cptstudio.errors import UserError
from cptstudio.models.fetching import (
    PASSING,
    REQUEST_SECONDS,
    RemoteFile,
    RepoKind,
    address_of,
)

_BLOCK = 1 << 18
_ATTEMPTS = 5


class RangeReader(io.RawIOBase):
    """Reads a file by requests for ranges of it; what breaks off is asked for again.

    Attributes:
        received: bytes that came so far.

    Raises:
        UserError: the hub does not answer with ranges, or with less than it announced.
    """

    def __init__(self, kind: RepoKind, repo_id: str, commit: str, file: RemoteFile) -> None:
        super().__init__()
        self._file = file
        self._url, self._headers = address_of(kind, repo_id, commit, file.name)
        self._at = 0
        self._kept = (0, b"")
        self.received = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it is read from any place."""
        return True

    def tell(self) -> int:
        """The place from which is read next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the place on; 0 at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """Return what lies at the place, as much as is asked for."""
        rest = self._file.size - self._at
        size = rest if size is None or size < 0 else min(size, rest)
        if size <= 0:
            return b""
        begins, kept = self._kept
        if not begins <= self._at <= self._at + size <= begins + len(kept):
            # Small pieces come in blocks.
            kept = self._ask(self._at, min(rest, max(size, _BLOCK)))
            self._kept = (self._at, kept) if len(kept) <= _BLOCK else (0, b"")
            begins = self._at
        data = kept[self._at - begins : self._at - begins + size]
        self._at += len(data)
        return data

    def _ask(self, start: int, size: int) -> bytes:
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        data = bytearray()
        failures = 0
        while True:
            before = len(data)
            try:
                self._receive(start + len(data), start + size - 1, data)
                return bytes(data)
            except (httpx2.TransportError, HfHubHTTPError) as error:
                if isinstance(error, HfHubHTTPError) and error.response.status_code not in PASSING:
                    raise
                failures = 1 if len(data) > before else failures + 1
                if failures >= _ATTEMPTS:
                    raise
            time.sleep(min(8.0, 0.5 * 2**failures))

    def _receive(self, first: int, last: int, data: bytearray) -> None:
        """Append what comes of a range."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        headers = {**self._headers, "Range": f"bytes={first}-{last}"}
        wanted = last - first + 1
        with get_session().stream(
            "GET", self._url, headers=headers, timeout=REQUEST_SECONDS
        ) as answer:
            hf_raise_for_status(answer)
            whole = answer.status_code == 200 and wanted == self._file.size
            if answer.status_code != 206 and not whole:
                raise UserError(
                    f"{self._file.name} cannot be read in parts: the hub, or a proxy in between, "
                    "sends whole files only. Take all rows, so that the whole file is fetched."
                )
            came = 0
            for part in answer.iter_bytes():
                came += len(part)
                self.received += len(part)
                if came > wanted:
                    break
                data += part
        if came != wanted:
            raise UserError(f"{self._file.name} did not come as the hub announced it. Repeat it.")
