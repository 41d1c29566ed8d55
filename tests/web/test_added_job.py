"""A job is added as CONTRIBUTING.md says: its program, its order, and the page's request."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cptstudio.web.work import corpus_work
from tests.web.in_process import make_web
from tests.workspace_of_before import lay_out

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.slow
def test_a_job_is_added_by_a_program_and_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = CONTRIBUTING.read_text().partition("\n### A job\n")[2].partition("\n### ")[0]
    program, order, page = (
        textwrap.dedent(block)
        for block in re.findall(r"^ *```(?:python|js)\n(.*?)^ *```", section, re.M | re.S)
    )
    file = tmp_path / "count_program.py"
    file.write_text(program)
    module = '("-m", "cptstudio.corpus.count_program")'
    assert module in order
    names: dict[str, Any] = dict(vars(corpus_work))
    order = order.replace(module, repr((str(file),))).replace("(..., ", "(*ORDERS, ")
    exec(compile("from __future__ import annotations\n" + order, "CONTRIBUTING.md", "exec"), names)
    # Models find the names of their annotations in their module.
    for name in ("ORDERS", "CountBody"):
        monkeypatch.setattr(corpus_work, name, names[name], raising=False)
    web = make_web(lay_out(tmp_path / "workspace"))
    path = re.search(r'post\("(.*?)", \{ name \}\)', page)
    assert path
    try:
        job = web.post(path[1], {"name": "river"}, 202)
        ended = web.studio.jobs.wait(job["id"], 200)
        refused = web.post(path[1], {"name": "none"}, 404)
        document = web.get("/api/openapi.json")
    finally:
        web.studio.jobs.close()
        web.studio.news.close()
        web.studio.manager.close()
    assert ended is not None and ended.state == "done", ended
    assert ended.result and ended.result["words"] > 1000
    assert (ended.about, ended.on) == ("river", "corpus")
    assert refused["detail"] == "There is no corpus 'none' in this workspace."
    described = document["paths"]["/api/word-counts"]["post"]
    assert described["description"] == "A job; its result is the number of words of all documents."
