"""Fetches a commit's files from the hub, several at once, each continued where it was."""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.job_programs import TellsProgress
from cptstudio.models.hub_address import endpoint

REQUEST_SECONDS = 30.0
PARALLEL = 4
_ATTEMPTS = 5
_TELL_SECONDS = 0.25
_CHUNK = durable.MEBIBYTE
PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Refusals that may pass by themselves."""

RepoKind = Literal["model", "dataset"]
"""What a repository of the hub holds."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit.

    Attributes:
        name: in the model's folder.
        size: bytes.
        digest: hexadecimal: SHA-256 of a large file, otherwise the SHA-1 that Git gives a blob.
        is_large: whether it is kept outside Git (LFS), which decides the digest.
    """

    name: str
    size: int
    digest: str
    is_large: bool

    def new_digest(self) -> Any:
        """Return the hash whose value over the content is `digest`."""
        if self.is_large:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


class _StoppedError(Exception):
    """The download is to end."""


class Fetcher:
    """Fetches files into a folder, under their digests.

    Args:
        folder: for the parts and the whole files.
        answer: is told the progress in bytes.
        kind: of the repository.
    """

    def __init__(
        self,
        repo_id: str,
        commit: str,
        folder: Path,
        files: Sequence[RemoteFile],
        answer: TellsProgress,
        kind: RepoKind = "model",
    ) -> None:
        self._repo_id = repo_id
        self._kind = kind
        self._commit = commit
        self._folder = folder
        self._answer = answer
        self._files = {file.digest: file for file in files}
        self._total = sum(file.size for file in self._files.values())
        self._done = dict.fromkeys(self._files, 0)
        self._whole = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def fetch_all(self) -> None:
        """Fetch what is not there yet, the largest files first.

        Raises:
            UserError: a file is not what the hub says it is.
        """
        files = sorted(self._files.values(), key=lambda file: -file.size)
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="fetch")
        try:
            futures = [pool.submit(self._fetch, file) for file in files]
            waiting: set[Future[None]] = set(futures)
            while waiting:
                ended, waiting = wait(waiting, _TELL_SECONDS, return_when=FIRST_EXCEPTION)
                for future in ended:
                    future.result()
                # Also when nothing came, so that a stalled download is seen to stand still.
                self._tell()
        finally:
            self._stop.set()
            # When the job is cancelled, threads that wait for the network are not waited for.
            cancelled = isinstance(sys.exc_info()[1], KeyboardInterrupt)
            pool.shutdown(wait=not cancelled, cancel_futures=True)
        self._tell(final=True)

    def _fetch(self, file: RemoteFile) -> None:
        target = self._folder / file.digest
        if not target.exists():
            self._attempt(file, self._folder / f"{file.digest}.part")
            (self._folder / f"{file.digest}.part").rename(target)
        with self._lock:
            self._done[file.digest] = file.size
            self._whole += 1

    def _attempt(self, file: RemoteFile, part: Path) -> None:
        """Fetch a file, repeating after faults of the network while anything comes."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError

        failures = 0
        while True:
            before = self._done[file.digest]
            try:
                with part.open("ab+") as out:
                    self._fill(file, out)
                return
            except (httpx2.TransportError, HfHubHTTPError) as error:
                if isinstance(error, HfHubHTTPError) and error.response.status_code not in PASSING:
                    raise
                failures = 1 if self._done[file.digest] > before else failures + 1
                if failures >= _ATTEMPTS:
                    raise
                log.warning("%s: %s; trying again", file.name, error)
            if self._stop.wait(min(8.0, 0.5 * 2**failures)):
                raise _StoppedError

    def _fill(self, file: RemoteFile, out: IO[bytes]) -> None:
        """Append what is missing of a file and check the whole.

        Raises:
            UserError: the content is another than the hub announced.
        """
        digest = file.new_digest()
        out.seek(0)
        have = 0
        while data := out.read(_CHUNK):
            digest.update(data)
            have += len(data)
        self._progress(file, have)
        if have < file.size:
            have, digest = self._receive(file, out, have, digest)
        if have != file.size or digest.hexdigest() != file.digest:
            out.truncate(0)
            self._progress(file, 0)
            raise UserError(
                f"{file.name} does not match what the hub announced ({have:,} of "
                f"{file.size:,} bytes, or other content). Download it again, and check "
                "whether a proxy changes it."
            )
        out.flush()
        durable.flush_to_disk(out.fileno())

    def _receive(self, file: RemoteFile, out: IO[bytes], have: int, digest: Any) -> tuple[int, Any]:
        """Append what comes; returns how many bytes there are then, and their hash."""
        from huggingface_hub import get_session
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        url, headers = address_of(self._kind, self._repo_id, self._commit, file.name)
        if have:
            headers["Range"] = f"bytes={have}-"
        with get_session().stream("GET", url, headers=headers, timeout=REQUEST_SECONDS) as answer:
            hf_raise_for_status(answer)
            if have and answer.status_code != 206:
                out.truncate(0)
                have, digest = 0, file.new_digest()
            for data in answer.iter_bytes():
                if self._stop.is_set():
                    raise _StoppedError
                have += len(data)
                if have > file.size:
                    break
                out.write(data)
                digest.update(data)
                self._progress(file, have)
        return have, digest

    def _progress(self, file: RemoteFile, have: int) -> None:
        with self._lock:
            self._done[file.digest] = have

    def _tell(self, final: bool = False) -> None:
        with self._lock:
            done, whole = sum(self._done.values()), self._whole
        self._answer.progress(
            phase="downloading",
            done=done,
            total=self._total,
            unit="bytes",
            detail=f"{whole} of {len(self._files)} files",
            final=final,
        )


def address_of(kind: RepoKind, repo_id: str, commit: str, name: str) -> tuple[str, dict[str, str]]:
    """Return where a file of a commit is fetched, and with which headers."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = hf_hub_url(repo_id, name, repo_type=kind, revision=commit, endpoint=endpoint())
    # Compressed on the way, the sizes would not fit.
    return url, {**build_hf_headers(), "Accept-Encoding": "identity"}
