"""The pages' files, and the server's log."""

from __future__ import annotations

import gzip
import logging
import re
import shutil
import stat
import threading
from pathlib import Path

import pytest
from werkzeug.test import Client

from cptstudio.web.pages import UI_FOLDER, Pages
from cptstudio.web.serve.logs import set_up_logs
from tests.web.in_process import Web


def version_of(index: bytes) -> str:
    found = re.search(rb'src="/ui/(v-[0-9a-f]{16})/app.js"', index)
    assert found is not None
    return found[1].decode()


def test_every_page_is_the_same_file(web: Web) -> None:
    index = web.request("GET", "/").data
    version = version_of(index)
    written = (UI_FOLDER / "index.html").read_bytes()
    assert index.replace(f"/ui/{version}/".encode(), b"/ui/") == written
    assert index.count(b'="/ui/') == index.count(f'="/ui/{version}/'.encode()) > 10
    for path in (
        "/",
        "/runs/a.b-c_d",
        "/compare?runs=a,b",
        "/new",
        "/data",
        "/data/x",
        "/runs",
        "/playground?models=a,b@last",
        "/evaluate?view=heat",
        "/settings",
    ):
        response = web.request("GET", path)
        assert response.status_code == 200 and response.data == index, path
        assert response.content_type == "text/html; charset=utf-8"
    for path in (
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


def test_files_below_their_version_are_kept_without_asking_until_one_changes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "ui"
    shutil.copytree(UI_FOLDER, folder)
    pages = Pages(lambda environ, start: [], folder=folder)
    browser = Client(pages)

    def caching(path: str) -> str:
        response = browser.get(path)
        assert response.status_code == 200, path
        assert response.data == folder.joinpath(*path.split("/")[3:]).read_bytes()
        return response.headers["Cache-Control"]

    first = version_of(browser.get("/").data)
    assert browser.get("/").headers["Cache-Control"] == "no-cache"
    for name in ("app.js", "style/base.css", "pages/run/charts.js"):
        assert caching(f"/ui/{first}/{name}") == "private, max-age=31536000, immutable"
    assert caching("/ui/v-0123456789abcdef/app.js") == "no-cache"
    for path in (f"/ui/{first}/nothing.js", f"/ui/{first}", f"/ui/{first}/{first}/app.js"):
        assert browser.get(path).status_code == 404, path

    with (folder / "lib/router.js").open("a", encoding="utf-8") as file:
        file.write("\n// changed\n")
    # Also before anyone has asked for a page: what has changed is not kept as the old one.
    assert caching(f"/ui/{first}/lib/router.js") == "no-cache"
    second = version_of(browser.get("/").data)
    assert second != first
    assert caching(f"/ui/{first}/app.js") == "no-cache"
    assert "immutable" in caching(f"/ui/{second}/lib/router.js")
    (folder / "lib/router.js").unlink()
    assert version_of(browser.get("/").data) not in (first, second)


def test_after_a_new_start_the_files_have_other_addresses() -> None:
    """Who had the port meanwhile could have given the browser files of his own to keep."""
    first, again = (Client(Pages(lambda environ, start: [], boot)) for boot in ("one", "two"))
    version = version_of(first.get("/").data)
    assert version_of(first.get("/").data) == version != version_of(again.get("/").data)
    assert "immutable" in first.get(f"/ui/{version}/app.js").headers["Cache-Control"]
    assert again.get(f"/ui/{version}/app.js").headers["Cache-Control"] == "no-cache"


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
