"""Publishes what was confirmed: `python -m cptstudio.publishing.publish_program`.

The request, see `job_programs`, is that of `plan.request_of` with {"confirmed": DIGEST, "notes":
FOLDER} besides. Everything is read once more before the hub is asked anything: what is not what
was confirmed is not sent.

Large files go first, one after the other; the hub keeps what came, so that the same again goes on
after the last whole file. One commit then makes all of it visible at once.
"""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import time
from pathlib import Path
from typing import Any

from cptstudio import durable, job_programs
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer, TellsProgress, counted
from cptstudio.models.fetching import PASSING
from cptstudio.models.hub import HOW_TO_SIGN_IN, explained, understood
from cptstudio.models.hub_address import check_online, endpoint
from cptstudio.publishing.plan import Plan, PlannedFile, plan_of_request, signature_of

_ATTEMPTS = 5
_IN_MEMORY = 4 * durable.MEBIBYTE
_MESSAGE = "Upload with CPT Studio"
_GIT_FILES = frozenset({".gitattributes", ".gitignore"})

log = logging.getLogger(__name__)


def publish(plan: Plan, confirmed: str, notes: Path, answer: TellsProgress) -> dict[str, Any]:
    """Send what was confirmed; returns where it is.

    Args:
        confirmed: the digest of what the user saw.
        notes: a folder in which is noted which repositories were begun.

    Raises:
        UserError: it is not what was confirmed, the hub refuses it, or the connection broke.
    """
    if plan.digest != confirmed:
        raise UserError(
            "What would be published is not what you confirmed: a file, the card or the settings "
            "changed since. Nothing was sent. Look at the preview again."
        )
    check_online()
    _check_signed_in()
    with explained(plan.choices.repo_id, download=False):
        try:
            return _Upload(plan, notes, answer).run()
        except RuntimeError as error:
            # How the library tells that a file could not be sent.
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None
        except ValueError as error:
            raise UserError(f"The hub does not take it: {_words(error)}") from None


def _check_signed_in() -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError(f"Publishing needs a token that may write: {HOW_TO_SIGN_IN}.")


class _Upload:
    def __init__(self, plan: Plan, notes: Path, answer: TellsProgress) -> None:
        from huggingface_hub import HfApi

        self._plan = plan
        self._answer = answer
        self._api = HfApi(endpoint=endpoint())
        name = hashlib.sha256(plan.choices.repo_id.encode()).hexdigest()[:16]
        self._note = notes / f"{name}.json"
        self._sent = 0

    def run(self) -> dict[str, Any]:
        """Make the repository, send the files, commit."""
        self._answer.progress(phase="connecting", final=True)
        self._make_repository()
        operations = []
        for number, file in enumerate(self._plan.files):
            operations.append(self._send(number, file))
        for file in self._plan.files:
            self._check_unchanged(file)
        self._answer.progress(phase="saving", final=True)
        repo_id = self._plan.choices.repo_id
        with understood():
            info = self._api.create_commit(
                repo_id=repo_id, operations=operations, commit_message=_MESSAGE
            )
        self._note.unlink(missing_ok=True)
        return {
            "repo_id": repo_id,
            "private": self._plan.choices.private,
            "commit": str(info.oid),
            "address": f"{endpoint()}/{repo_id}",
            "bytes": self._plan.bytes,
        }

    def _make_repository(self) -> None:
        from huggingface_hub.errors import HfHubHTTPError

        repo_id, private = self._plan.choices.repo_id, self._plan.choices.private
        try:
            with understood():
                self._api.create_repo(repo_id, private=private)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 409:
                self._check_existing()
                return
            if status in (401, 403):
                raise UserError(
                    f"Your token may not make {repo_id} at {endpoint()}: is that your name there, "
                    f"and may the token write? Otherwise {HOW_TO_SIGN_IN}."
                ) from None
            raise
        self._note.parent.mkdir(parents=True, exist_ok=True)
        durable.write_json(self._note, {"repo_id": repo_id, "begun": time.time()})

    def _check_existing(self) -> None:
        """Refuse a repository that others see, or that holds what the user did not begin here."""
        choices = self._plan.choices
        with understood():
            info = self._api.model_info(choices.repo_id)
        if bool(info.private) != choices.private:
            there, chosen = ("private", "public") if info.private else ("public", "private")
            raise UserError(
                f"{choices.repo_id} is there already and {there}, but you chose {chosen}. Nothing "
                f"was sent. Choose {there}, or another name."
            )
        files = {one.rfilename for one in info.siblings or ()} - _GIT_FILES
        if files and not choices.update and not self._note.exists():
            raise UserError(
                f"{choices.repo_id} is there already, with {len(files):,} files. Nothing was sent. "
                "Choose another name, or to update it: files of the same names are replaced, "
                "others stay."
            )

    def _send(self, number: int, file: PlannedFile) -> Any:
        """Send a file where it is large, and return what puts it into the commit."""
        import httpx2
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.errors import HfHubHTTPError

        detail = f"{file.path}, {number + 1} of {len(self._plan.files)} files"
        failures = 0
        while True:
            content = self._content(file)
            operation = CommitOperationAdd(file.path, content)
            # It was read and compared already.
            operation.upload_info.sha256 = bytes.fromhex(file.sha256)
            if file.source is not None and not isinstance(content, bytes):
                operation.path_or_fileobj = self._counted(Path(file.source), detail)
            try:
                self._tell(0, detail)
                self._api.preupload_lfs_files(
                    self._plan.choices.repo_id, [operation], free_memory=False
                )
                break
            except (RuntimeError, httpx2.TransportError, HfHubHTTPError) as error:
                cause = error.__cause__ if isinstance(error, RuntimeError) else error
                passing = isinstance(cause, httpx2.TransportError) or (
                    isinstance(cause, HfHubHTTPError) and cause.response.status_code in PASSING
                )
                failures += 1
                if not passing or failures >= _ATTEMPTS:
                    raise
                log.warning("%s: %s; trying again", file.path, type(cause).__name__)
                time.sleep(min(8.0, 0.25 * 2**failures))
        self._sent += file.size
        self._tell(0, detail)
        return operation

    def _content(self, file: PlannedFile) -> bytes | str:
        """A small file's content, which is what was confirmed; of a large one its path."""
        if file.source is None:
            return file.content or b""
        self._check_unchanged(file)
        if file.size > _IN_MEMORY:
            return file.source
        data = durable.read_bytes(Path(file.source), _IN_MEMORY)
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise _changed(file)
        return data

    def _counted(self, path: Path, detail: str) -> Any:
        """A file that tells how far it was read; by its path where the hub's own protocol sends it.

        That protocol (Xet) sends only what the hub does not have yet, also within a file.
        """
        from huggingface_hub.utils import is_xet_available

        if is_xet_available():
            return str(path)
        return _CountedFile(path, lambda done: self._tell(done, detail))

    def _check_unchanged(self, file: PlannedFile) -> None:
        if file.source is None:
            return
        try:
            same = signature_of(Path(file.source)) == file.signature
        except OSError:
            same = False
        if not same:
            raise _changed(file)

    def _tell(self, done: int, detail: str) -> None:
        self._answer.progress(
            phase="uploading",
            done=min(self._plan.bytes, self._sent + done),
            total=self._plan.bytes,
            unit="bytes",
            detail=detail,
        )


class _CountedFile(io.BufferedReader):
    """A file that tells its place whenever it is read."""

    def __init__(self, path: Path, tell: Any) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._tell_place = tell

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on, and tell how far it is."""
        data = super().read(size)
        self._tell_place(self.tell())
        return data


def _changed(file: PlannedFile) -> UserError:
    return UserError(
        f"{file.path} changed since you confirmed it, so it is not published. Look at the preview "
        "again."
    )


def _words(error: ValueError) -> str:
    return " ".join(str(error).split())[:500]


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says."""
    plan = plan_of_request(request, counted(answer, "checking", "bytes"))
    return publish(plan, str(request["confirmed"]), Path(request["notes"]), answer)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
