"""Says what would leave the machine: `python -m cptstudio.publishing.preview_program`.

The request, see `job_programs`, is that of `plan.request_of`. Nothing is sent.
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.job_programs import Answer, counted
from cptstudio.publishing.plan import plan_of_request


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says."""
    return plan_of_request(request, counted(answer, "reading", "bytes")).told()


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
