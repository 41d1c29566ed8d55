"""Measuring a few real steps on behalf of the page."""

from __future__ import annotations

from typing import Any

from cptstudio.child_limits import for_models
from cptstudio.errors import UserError
from cptstudio.settings import parse_settings
from cptstudio.training import calibration
from cptstudio.training.planning import make_plan
from cptstudio.validation import LateModel
from cptstudio.web.studio import Studio
from cptstudio.web.work.jobs import Job, Order


class CalibrateBody(LateModel, extra="forbid"):
    """Settings of the steps to measure."""

    settings: dict[str, Any]


def calibrate(studio: Studio, body: CalibrateBody) -> Job:
    """Return a job; nothing of the steps is kept.

    Raises:
        UserError: the settings cannot be planned, or a run trains now.
    """
    settings = parse_settings(body.settings)
    make_plan(studio.workspace, settings)
    active = [run.id for run in studio.manager.alive()]
    if active:
        raise UserError(
            f"{', '.join(active)} is training, so a measurement now would be misleading. Try "
            "again when it has finished."
        )
    request = {
        "workspace": str(studio.workspace.root),
        "settings": settings.model_dump(mode="json"),
    }
    return studio.jobs.start(
        "calibrate",
        "Measuring the speed",
        ("-m", calibration.MODULE),
        request,
        for_models(),
        key="calibrate",
    )


ORDERS = (Order("/plan/calibrate", "Measure a few real steps", calibrate),)
