"""`/api/system`: this machine, this workspace, and the versions of what is installed."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import flask
import psutil

import cptstudio
from cptstudio.training.machine import describe_machine, installed_versions
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.device import device_name
from cptstudio.web.studio import Studio


class System(LateModel):
    """This machine; sizes in bytes, the disk is the workspace's."""

    version: str
    boot_id: str
    workspace: str
    platform: str
    python: str
    mlx: str | None
    mlx_lm: str | None
    device: str
    cpus: int
    memory_total: int
    memory_available: int
    disk_total: int | None
    disk_free: int | None
    versions: dict[str, str]


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("system", __name__, url_prefix="/api/system")

    @route(bp, "GET", "", summary="This machine and workspace")
    def system() -> System:
        machine = describe_machine()
        versions = installed_versions()
        memory = psutil.virtual_memory()
        total, free = _disk(studio.workspace.root)
        return System(
            version=cptstudio.__version__,
            boot_id=studio.boot_id,
            workspace=str(studio.workspace.root),
            platform=f"{machine.system} ({platform.machine()})",
            python=platform.python_version(),
            mlx=versions.get("mlx"),
            mlx_lm=versions.get("mlx-lm"),
            device=device_name(),
            cpus=machine.cores,
            memory_total=memory.total,
            memory_available=memory.available,
            disk_total=total,
            disk_free=free,
            versions=versions,
        )

    return bp


def _disk(folder: Path) -> tuple[int | None, int | None]:
    """Size and free space of a folder's disk; the folder itself may not exist yet."""
    for place in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return usage.total, usage.free
    return None, None
