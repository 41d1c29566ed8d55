"""Asks the hub about a dataset: `python -m cptstudio.datasets.look_program`.

The request, see `job_programs`: {"id": ID, "revision": NAME|null}, and to see the beginning of a
split {"configuration": NAME, "split": NAME} besides.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from cptstudio import job_programs
from cptstudio.datasets.beginnings import beginning_of
from cptstudio.datasets.dataset import facts, look_up
from cptstudio.light_imports import leave_out_torch


def work(request: dict[str, Any], _answer: object) -> dict[str, Any]:
    """Do what the request says."""
    leave_out_torch()
    dataset = look_up(str(request["id"]), request.get("revision"))
    if "split" not in request:
        return facts(dataset)
    _, split = dataset.find(request.get("configuration"), request["split"])
    return asdict(beginning_of(dataset, split))


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
