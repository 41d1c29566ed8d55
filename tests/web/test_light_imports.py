"""The server never loads what computes: it stays small, and quick to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.toy_workspace import make_toy_workspace

NEVER = {"mlx", "mlx_lm", "torch", "transformers", "pypdfium2", "httpx2"}
NOT_AT_FIRST = NEVER | {"numpy", "pyarrow", "flask", "pydantic", "huggingface_hub", "tokenizers"}

EVERY_ROUTE = """
import json, re, sys
from pathlib import Path
from tests.web.in_process import make_web

web = make_web(Path(sys.argv[1]))
asked = 0
for rule in web.app.url_map.iter_rules():
    for method in sorted(rule.methods - {"OPTIONS", "HEAD"}):
        path = re.sub(r"<[^>]+>", "sample", rule.rule)
        if path.startswith("/api/session/end"):
            continue
        status = web.request(method, path).status_code
        assert status < 500, (method, path, status)
        asked += 1
assert asked > 20
# Who asks the hub loads its client, which on macOS no forked process may use.
answer = web.request("GET", "/api/models/hub", query_string={"query": "small"})
assert "reach " in answer.json["detail"], answer.json
web.studio.news.close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

A_PLAN = """
import json, sys
from pathlib import Path
from tests.training.small_workspace import small_settings
from tests.web.in_process import make_web

web = make_web(Path(sys.argv[1]))
body = {"settings": small_settings(), "name": "first"}
answer = web.post("/api/plan", body)
assert answer["problems"] == [] and answer["facts"]["steps"] == 12, answer
web.studio.news.close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

FIRST_PAGE = """
import io, json, sys
from pathlib import Path
import cptstudio.web.serve.server, cptstudio.web.serve.embedded_gunicorn
from cptstudio.web.options import parse_options
from cptstudio.web.security.access import make_access
from cptstudio.web.security.token import prepare_private_folder, read_or_make_token
from cptstudio.web.web_training_interface import create_application

root = Path(sys.argv[1])
options = parse_options(["--workspace", str(root)])
prepare_private_folder(root / ".cpt-studio")
access = make_access(options, root / ".cpt-studio", 8763, read_or_make_token(root / ".cpt-studio"))
gate = create_application(lambda: 1 / 0, access)
answered = []
environ = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "127.0.0.1:8763",
    "wsgi.input": io.BytesIO(),
}
body = b"".join(gate(environ, lambda status, headers, *rest: answered.append(status)))
assert answered == ["200 OK"] and b"<script" in body, answered
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def modules_after(code: str, workspace: Path) -> set[str]:
    completed = subprocess.run(
        [sys.executable, "-c", code, str(workspace)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"},
    )
    assert completed.returncode == 0, completed.stderr
    return set(json.loads(completed.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_no_route_loads_what_computes(tmp_path: Path) -> None:
    assert not modules_after(EVERY_ROUTE, tmp_path) & NEVER


@pytest.mark.slow
def test_a_plan_of_a_real_model_loads_nothing_that_computes_or_tokenises(tmp_path: Path) -> None:
    make_toy_workspace(tmp_path / "workspace")
    assert not modules_after(A_PLAN, tmp_path / "workspace") & (NEVER | {"tokenizers"})


def test_the_first_page_needs_no_more_than_the_standard_library_and_gunicorn(
    tmp_path: Path,
) -> None:
    assert not modules_after(FIRST_PAGE, tmp_path) & NOT_AT_FIRST
