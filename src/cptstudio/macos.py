"""Everything that differs on macOS, with its reason, in one place.

Nothing here can be run on another system. So each part asks the system through something that a
test can take the place of.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

import fcntl
import importlib.util
import io
import platform
import plistlib
import select
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Any, Final

HERE: Final = sys.platform == "darwin"
"""Whether this is macOS."""

_FULL_FLUSH: Final = 51  # F_FULLFSYNC, <sys/fcntl.h>
VISION_LANGUAGES: Final = {
    "ara": "ar-SA", "chi_sim": "zh-Hans", "chi_tra": "zh-Hant", "deu": "de-DE", "eng": "en-US",
    "fra": "fr-FR", "ita": "it-IT", "jpn": "ja-JP", "kor": "ko-KR", "por": "pt-BR",
    "rus": "ru-RU", "spa": "es-ES", "tha": "th-TH", "ukr": "uk-UA", "vie": "vi-VT",
}  # fmt: skip
"""How Vision calls the languages that tesseract calls so (ISO 639-2)."""

_SYSCTL_SECONDS: Final = 10.0
# Known to the type checker on macOS alone.
_select: Any = select
_run = subprocess.run


def flush_to_disk(descriptor: int) -> bool:
    """Make the drive write one open file or folder; returns whether it did.

    `fsync` only hands the data to the drive there (man fsync(2), macOS). Some file systems refuse
    F_FULLFSYNC, and then `fsync` is the best there is.
    """
    try:
        fcntl.fcntl(descriptor, _FULL_FLUSH)
    except OSError:
        return False
    return True


def has_metal() -> bool:
    """Return whether MLX computes on the GPU: it does on Apple silicon."""
    return platform.machine() == "arm64"


def default_working_set(memory: int) -> int:
    """Return the working set that Metal recommends on a Mac with so many bytes of memory.

    Two thirds below 36 GiB, three quarters from there on, as Macs of 16, 24, 32, 36, 64 and
    96 GiB report (`recommendedMaxWorkingSetSize` in logs of llama.cpp: 10,922.67 MiB of 16 GiB,
    49,152 MiB of 64 GiB).
    """
    share = (2, 3) if memory < 36 * 2**30 else (3, 4)
    return memory * share[0] // share[1]


def processor_name() -> str:
    """Such as "Apple M3 Max"; empty where the system does not tell."""
    return _sysctl("machdep.cpu.brand_string")


def boot_id() -> str:
    """Return a text that each boot has for itself; empty where the system does not tell."""
    return _sysctl("kern.bootsessionuuid")


def resident_bytes(maxrss: int) -> int:
    """Bytes of `ru_maxrss`, which getrusage(2) counts in bytes there and in KiB elsewhere."""
    return maxrss if HERE else maxrss * 1024


def stay_awake_command(pid: int) -> list[str]:
    """What keeps the machine awake while a process lives: caffeinate watches the pid itself."""
    return ["/usr/bin/caffeinate", "-i", "-w", str(pid)]


def vision_version() -> str | None:
    """Return what recognizes text by the system's Vision; None where `ocrmac` is not installed."""
    if not HERE or importlib.util.find_spec("ocrmac") is None:
        return None
    return f"Vision of macOS {platform.mac_ver()[0]} by ocrmac {metadata.version('ocrmac')}"


def recognized_by_vision(
    picture: bytes, languages: Sequence[str]
) -> tuple[tuple[int, int], list[tuple[str, float, Sequence[float]]]]:
    """Recognize the text of a picture in PGM; languages are keys of `VISION_LANGUAGES`.

    Returns:
        The picture's size in pixels, and of each line its text, how sure Vision is, of 1, and left,
        bottom, width and height, in parts of the picture from the lower left.
    """
    # Pillow comes with ocrmac.
    ocrmac: Any = import_module("ocrmac.ocrmac")
    image: Any = import_module("PIL.Image").open(io.BytesIO(picture))
    names = [VISION_LANGUAGES[language] for language in languages]
    return image.size, ocrmac.OCR(image, language_preference=names).recognize()


class EndWatch:
    """Tells when a child has ended, without reaping it: kqueue, since there are no pidfds.

    Args:
        pid: of the child, which has not been reaped.
    """

    def __init__(self, pid: int) -> None:
        self._queue = _select.kqueue()
        event = _select.kevent(
            pid,
            filter=_select.KQ_FILTER_PROC,
            flags=_select.KQ_EV_ADD,
            fflags=_select.KQ_NOTE_EXIT,
        )
        self._queue.control([event], 0)

    def poll(self, milliseconds: float) -> Sequence[Any]:
        """Return what has happened within this time, as the `poll` of a pidfd does."""
        happened: Sequence[Any] = self._queue.control(None, 1, milliseconds / 1000)
        return happened


def gpu_use() -> tuple[float | None, int | None]:
    """Return how much of its time the GPU works, in percent, and the bytes that it has in use.

    The driver tells it in the registry of devices (`ioreg`, which needs no rights); each is None
    where it does not.
    """
    try:
        asked = _run(
            ["/usr/sbin/ioreg", "-a", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"],
            capture_output=True,
            timeout=_SYSCTL_SECONDS,
            check=False,
            # Without a copy of the trainer's page tables: posix_spawn in place of fork.
            close_fds=False,
        )
        devices = plistlib.loads(asked.stdout)
        told = devices[0]["PerformanceStatistics"]
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, TypeError):
        return None, None
    percent, memory = told.get("Device Utilization %"), told.get("In use system memory")
    return (
        float(percent) if isinstance(percent, int) else None,
        memory if isinstance(memory, int) else None,
    )


def _sysctl(name: str) -> str:
    try:
        asked = _run(
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            text=True,
            timeout=_SYSCTL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
