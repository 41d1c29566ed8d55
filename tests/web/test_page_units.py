"""What the pages compute, tested by Node's own runner: tests/web/ui/*.test.mjs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from cptstudio.evaluation.chat_again import STRENGTHS, ChatMeasured
from cptstudio.evaluation.merging import SHARES
from cptstudio.evaluation.model_requests import Measured
from cptstudio.lm.chat_format import TAGS
from cptstudio.prompt_suites import Suite
from cptstudio.sampling import PLAYGROUND_SAMPLING
from scripts.node import node_command

UNITS = sorted((Path(__file__).parent / "ui").glob("*.test.mjs"))


@pytest.mark.slow
def test_what_the_pages_compute() -> None:
    assert len(UNITS) > 5
    command = node_command("--test", *map(str, UNITS))
    schemas = {
        "SAMPLING_SCHEMA": json.dumps(
            Suite.model_json_schema() | {"playground": PLAYGROUND_SAMPLING}
        ),
        "MEASURED_SCHEMA": json.dumps(Measured.model_json_schema()),
        "ANSWER_TAGS": json.dumps(TAGS),
        "CHAT_SCHEMA": json.dumps(ChatMeasured.model_json_schema()),
        "USUAL_STRENGTHS": ", ".join(f"{strength:g}" for strength in STRENGTHS),
        "USUAL_SHARES": ", ".join(f"{share:g}" for share in SHARES),
    }
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | schemas)
    assert ended.returncode == 0, ended.stdout + ended.stderr
