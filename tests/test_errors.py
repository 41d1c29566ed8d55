"""What the machine refuses, in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cptstudio.errors import machine_error, refusal_of


@pytest.mark.parametrize(
    ("number", "words", "is_full"),
    [
        (errno.ENOSPC, "The disk is full ({place}). Free some space", True),
        (errno.EDQUOT, "Your disk quota is used up ({place}). Free some space", True),
        (errno.EROFS, "The disk is read-only ({place}). Make it writable", False),
        (errno.EIO, "Disk error ({place}). Check the disk", False),
        (errno.EMFILE, "reached its limit of open files. Close some pages or runs", False),
        (
            errno.ENFILE,
            "This machine has reached its limit of open files. Close other programs",
            False,
        ),
    ],
)
def test_what_the_machine_refuses_is_said_with_what_to_do(
    tmp_path: Path, number: int, words: str, is_full: bool
) -> None:
    place = str(tmp_path / "file")
    refused = machine_error(OSError(number, os.strerror(number), place))
    assert refused is not None and refused.full == is_full
    assert words.format(place=place) in refused.message
    # Of a rename it is the new name that could not be made.
    renamed = machine_error(OSError(number, os.strerror(number), "/old", None, place))
    assert renamed is not None and renamed.message == refused.message
    unnamed = machine_error(OSError(number, os.strerror(number)))
    assert unnamed is not None and unnamed.message == refused.message.replace(f" ({place})", "")
    assert os.strerror(number) not in refused.message and "Errno" not in refused.message


def test_other_errors_are_nothing_that_the_machine_refuses() -> None:
    for error in (FileNotFoundError(errno.ENOENT, "", "x"), PermissionError(errno.EACCES, "", "x")):
        assert machine_error(error) is None
    assert machine_error(ValueError(errno.ENOSPC)) is None
    refused = refusal_of(PermissionError(errno.EACCES, "", "/a/b"))
    assert refused is not None and refused.message.startswith("Permission denied for /a/b. Change")
