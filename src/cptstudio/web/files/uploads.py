"""Files that the page sent, kept until a corpus was built from them.

    .cpt-studio/uploads/<id>.json            `Upload`: the name it had is data, never a path
    .cpt-studio/uploads/<id>.content[.ext]   its bytes

The end of the name is kept where it is plain, because it decides how a file is read.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from cptstudio import durable
from cptstudio.corpus.left_aside import LeftAside
from cptstudio.errors import UserError, machine_error
from cptstudio.validation import LateModel
from cptstudio.web.problems import NotFound, Problem
from cptstudio.workspace import Workspace

LIMIT_BYTES = 8 * 1024 * durable.MEBIBYTE
KEPT_SECONDS = 24 * 3600.0
_MOST = 50_000
_ROOM = 1024 * durable.MEBIBYTE
_CHUNK = durable.MEBIBYTE
_ID = re.compile(r"u[0-9a-f]{16}")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_COMPRESSED = (".gz", ".zst")
_logger = logging.getLogger(__name__)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


Purpose = Literal["corpus", "text", "questions"]


class Upload(LateModel, extra="forbid"):
    """A file that the page sent.

    Attributes:
        purpose: what it was sent for: to build a corpus, to be measured, to be answered.
        name: what it was called there, perhaps with the folders it lay in.
        bytes: its size.
        created: Unix seconds.
    """

    id: str
    name: str
    bytes: int
    created: float
    purpose: Purpose = "corpus"


class Uploads:
    """The uploads of a workspace.

    Args:
        limit_bytes: of one file.
    """

    def __init__(self, workspace: Workspace, limit_bytes: int = LIMIT_BYTES) -> None:
        self._workspace = workspace
        self._folder = workspace.private / "uploads"
        self._lock = threading.Lock()
        self.limit_bytes = limit_bytes

    def all(self, purpose: Purpose | None = None) -> list[Upload]:
        """Return the uploads for one purpose or all, newest first."""
        try:
            names = [path.stem for path in self._folder.glob("u*.json")]
        except OSError:
            return []
        found = [self._read(name) for name in names if _ID.fullmatch(name)]
        wanted = [one for one in found if one and purpose in (None, one.purpose)]
        return sorted(wanted, key=lambda one: -one.created)

    def get(self, upload_id: str) -> tuple[Upload, Path]:
        """Return an upload and where its bytes are.

        Raises:
            NotFound: it is not there (any more).
        """
        upload = self._read(upload_id) if _ID.fullmatch(upload_id) else None
        path = self._content(upload) if upload else None
        if upload is None or path is None or not path.is_file():
            raise NotFound(
                f"The uploaded file {upload_id!r} is not there any more: send it again. Files are "
                "removed when a corpus was built from them, or after a day."
            )
        return upload, path

    def add(
        self,
        name: str,
        size: int | None,
        read: Callable[[int], bytes],
        include: Collection[str] = (),
        purpose: Purpose = "corpus",
    ) -> Upload:
        """Take a file.

        Args:
            name: what it is called, a file's name or a relative path.
            size: its size in bytes, if that was announced.
            read: gives at most so many of its bytes, none at its end.
            include: kinds that are taken although they are otherwise left aside.

        Raises:
            Problem: it is too large (413), or broke off (400).
            UserError: the name is none, or of a kind that is left aside, or the disk has no room.
        """
        label = clean_name(name)
        left = LeftAside(include).of_path(label, given=True)
        if left is not None:
            raise Problem.at(
                "name",
                f"{left[0]} was not uploaded ({left[1].reason}). To upload it anyway, "
                f'include "{left[1].kind}".',
            )
        self._check_size(size or 0)
        folder = self._workspace.make(self._folder, mode=0o700)
        with self._lock:
            if len(os.listdir(folder)) >= 2 * _MOST:
                raise UserError(f"There are {_MOST:,} uploaded files: build a corpus from them.")
        upload = Upload(
            id="u" + secrets.token_hex(8), name=label, bytes=0, created=time.time(), purpose=purpose
        )
        target = self._content(upload)
        staged = durable.staging_path(target)
        try:
            upload.bytes = self._copy(staged, read)
            if size is not None and upload.bytes != size:
                raise Problem(f"{label} broke off after {upload.bytes:,} bytes.", status=400)
            staged.rename(target)
            durable.write_json(folder / f"{upload.id}.json", upload.model_dump(), mode=0o600)
        except OSError as error:
            target.unlink(missing_ok=True)
            said = f"{label} could not be kept: {error.strerror}."
            raise machine_error(error) or UserError(said) from None
        finally:
            staged.unlink(missing_ok=True)
        return upload

    def files_of(self, upload: Upload) -> tuple[Path, Path]:
        """Return where its bytes are, and what is known of it."""
        return self._content(upload), self._folder / f"{upload.id}.json"

    def remove(self, upload_ids: Collection[str]) -> None:
        """Delete uploads; those that are gone already are passed over."""
        for upload_id in upload_ids:
            upload = self._read(upload_id) if _ID.fullmatch(upload_id) else None
            if upload is not None:
                for path in self.files_of(upload):
                    path.unlink(missing_ok=True)

    def sweep(self, in_use: Collection[str]) -> None:
        """Delete what is older than a day and not in use.

        Only an action of the user calls this: a start of the server deletes no upload.
        """
        old = time.time() - KEPT_SECONDS
        self.remove([one.id for one in self.all() if one.created < old and one.id not in in_use])

    def sweep_broken_off(self) -> None:
        """Delete what a server that was ended meanwhile had taken of uploads.

        Only the workspace's one server may call this, before it takes the first upload.
        """
        try:
            removed = durable.sweep_staging(self._folder)
            for path in self._folder.glob("u*.content*"):
                if not path.with_name(f"{path.name.partition('.')[0]}.json").exists():
                    path.unlink(missing_ok=True)
                    removed.append(path)
        except OSError:
            return  # Nothing was ever uploaded, or nothing can be deleted now.
        if removed:
            _logger.info("removed what was left of %d uploads that broke off", len(removed))

    def _copy(self, target: Path, read: Callable[[int], bytes]) -> int:
        written = 0
        with target.open("xb") as file:
            target.chmod(0o600)
            while data := read(_CHUNK):
                written += len(data)
                if written > self.limit_bytes:
                    raise self.too_large()
                if written % (64 * _CHUNK) < len(data):
                    self._check_size(0)
                file.write(data)
        return written

    def _check_size(self, size: int) -> None:
        if size > self.limit_bytes:
            raise self.too_large()
        place = self._folder if self._folder.exists() else self._workspace.root
        free = shutil.disk_usage(place).free if place.exists() else _ROOM + size
        if free < size + min(_ROOM, self.limit_bytes):
            raise UserError(
                f"The disk has {free / 1e9:.1f} GB left, too little for this file: make room, or "
                "put the file into a folder of the workspace's disk and choose it there."
            )

    def too_large(self) -> Problem:
        """Return the refusal of a file that is larger than the limit."""
        return Problem(
            f"The file is larger than {self.limit_bytes / 1e9:.1f} GB, which is the most that can "
            "be uploaded. Choose it with the file browser instead.",
            status=413,
        )

    def _content(self, upload: Upload) -> Path:
        return self._folder / f"{upload.id}.content{_plain_suffix(upload.name)}"

    def _read(self, upload_id: str) -> Upload | None:
        try:
            value = durable.read_json(self._folder / f"{upload_id}.json", durable.MEBIBYTE)
            upload = Upload.model_validate(value)
        except (FileNotFoundError, UserError, ValidationError):
            return None
        return upload if upload.id == upload_id else None


def clean_name(name: str) -> str:
    """Return a name as it is shown: a relative path without anything that could mislead.

    Raises:
        UserError: nothing is left of it.
    """
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", name.replace("\\", "/"))
    parts = [part.strip() for part in text.split("/")]
    kept = [part[:200] for part in parts if part not in ("", ".", "..")]
    if not kept:
        raise UserError(f"{name[:100]!r} is not a file's name.")
    return "/".join(kept[-16:])


def _plain_suffix(name: str) -> str:
    suffixes = PurePosixPath(name).suffixes[-2:]
    if suffixes and suffixes[-1].lower() not in _COMPRESSED:
        suffixes = suffixes[-1:]
    return "".join(one.lower() for one in suffixes if _SUFFIX.fullmatch(one))
