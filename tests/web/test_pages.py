"""The pages' files, and the server's log."""

from __future__ import annotations

import gzip
import logging
import stat
import threading
from pathlib import Path

import pytest

from cptstudio.web.logs import set_up_logs
from cptstudio.web.pages import UI_FOLDER
from tests.web.in_process import Web


def test_every_page_is_the_same_file(web: Web) -> None:
    index = (UI_FOLDER / "index.html").read_bytes()
    for path in (
        "/",
        "/runs/a.b-c_d",
        "/compare?runs=a,b",
        "/new",
        "/data",
        "/data/x",
        "/playground?models=a,b@last",
        "/evaluate?view=heat",
        "/settings",
    ):
        response = web.request("GET", path)
        assert response.status_code == 200 and response.data == index, path
        assert response.content_type == "text/html; charset=utf-8"
    for path in (
        "/runs",
        "/runs/",
        "/runs/.x",
        "/runs/a/b",
        "/data/x/y",
        "/playground/x",
        "/index.html",
    ):
        assert web.request("GET", path).status_code == 404, path


def test_every_file_of_the_pages_is_served_as_what_it_is(web: Web) -> None:
    files = [path for path in UI_FOLDER.rglob("*") if path.is_file() and path.suffix != ".ts"]
    assert len(files) > 10
    for file in files:
        path = "/ui/" + file.relative_to(UI_FOLDER).as_posix()
        response = web.request("GET", path)
        assert response.status_code == 200, path
        assert response.data == file.read_bytes(), path
    assert web.request("GET", "/ui/app.js").content_type == "text/javascript; charset=utf-8"


def test_a_copy_that_still_holds_is_not_sent_again(web: Web) -> None:
    first = web.request("GET", "/ui/app.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(first.data) == (UI_FOLDER / "app.js").read_bytes()
    assert first.headers["Cache-Control"] == "no-cache"
    again = web.request("GET", "/ui/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    head = web.request("HEAD", "/ui/app.js")
    assert head.data == b"" and int(head.headers["Content-Length"]) > 0
    assert web.request("POST", "/ui/app.js").status_code == 405


def test_log_lines_cannot_be_forged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level, hook = list(root.handlers), root.level, threading.excepthook
    try:
        for handler in before:
            root.removeHandler(handler)
        set_up_logs(tmp_path, "info", rotating=True)
        logging.getLogger("cptstudio.web.x").info(
            "run %s", "a\n2026-01-01 ERROR forged\x1b[31m\u2028"
        )
        logging.getLogger("cptstudio.web.x").info("half \ud800 a character")
        logging.getLogger("cptstudio.web.x").debug("too much")
        text = (tmp_path / "server.log").read_text()
    finally:
        for handler in list(root.handlers):
            root.removeHandler(handler)
            handler.close()
        for handler in before:
            root.addHandler(handler)
        root.setLevel(level)
        logging.captureWarnings(False)
        threading.excepthook = hook
    assert text.count("\n") == 2 and "\x1b" not in text and "\u2028" not in text
    assert "web.x: run a\\n2026-01-01 ERROR forged" in text
    assert stat.S_IMODE((tmp_path / "server.log").stat().st_mode) == 0o600
    assert "run a" in capsys.readouterr().err
