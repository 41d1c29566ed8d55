"""The pages' sources: who imports whom, what lists the pages and their files, lines."""

from __future__ import annotations

import posixpath
import re
from graphlib import TopologicalSorter
from pathlib import Path

from cptstudio.web.pages import PAGE_PATH, UI_FOLDER

LONGEST = 120
_IMPORT = re.compile(r"""(?:\bfrom |\bimport |\bimport\()["'](\.[^"']+)["']""")


def imports() -> dict[str, set[str]]:
    """What each unvendored script imports, also only for a type; both as paths below ui/."""
    found = {}
    for file in UI_FOLDER.rglob("*.js"):
        path = file.relative_to(UI_FOLDER).as_posix()
        if not path.startswith("vendor/"):
            names = _IMPORT.findall(file.read_text(encoding="utf-8"))
            folder = posixpath.dirname(path)
            found[path] = {posixpath.normpath(posixpath.join(folder, name)) for name in names}
    assert len(found) > 100
    return found


def test_a_page_imports_only_its_own_folder_and_the_shared_parts() -> None:
    def allowed(path: str) -> tuple[str, ...]:
        room, _, name = path.partition("/")
        if room == "lib":
            return ("lib/", "vendor/")
        shared = ("components/", "lib/", "vendor/")
        if room == "components":
            return shared
        page = name.split("/")[0].removesuffix(".js")
        return (*shared, f"pages/{page}/") if room == "pages" else (*shared, "pages/")

    wrong = [
        f"{path} imports {name}"
        for path, names in imports().items()
        for name in sorted(names)
        if not name.startswith(allowed(path)) or not (UI_FOLDER / name).is_file()
    ]
    assert not wrong


def test_no_scripts_import_each_other_in_a_circle() -> None:
    list(TopologicalSorter(imports()).static_order())


def scripts_of(*roots: str) -> set[str]:
    """What a page's scripts bring with them, themselves included."""
    statically = re.compile(r"""\b(?:from|import) ?["'](\.[^"']+)["']""")
    found: set[str] = set()
    left = list(roots)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            names = statically.findall((UI_FOLDER / path).read_text(encoding="utf-8"))
            left += [
                posixpath.normpath(posixpath.join(posixpath.dirname(path), one)) for one in names
            ]
    return found


def test_every_page_is_in_the_one_list_and_the_server_serves_it() -> None:
    app = (UI_FOLDER / "app.js").read_text(encoding="utf-8")
    pages = re.findall(
        r'^  \{ path: "([^"]+)", .*import\("\./(pages/[a-z_]+\.js)"\) \},$', app, re.M
    )
    assert len(pages) == app.count('import("./pages/')
    for path, _ in pages:
        assert PAGE_PATH.fullmatch(path.replace(":id?", "a-name").replace(":id", "a-name")), path
        assert PAGE_PATH.fullmatch(path.replace("/:id?", "").replace(":id", "a-name")), path
    files = {path.relative_to(UI_FOLDER).as_posix() for path in UI_FOLDER.glob("pages/*.js")}
    assert {script for _, script in pages} == files
    keys = re.findall(r'^  \{ path: .* key: "(.)", ', app, re.M)
    assert len(keys) == len(set(keys)) > 5


def test_the_index_names_every_style_and_what_the_first_page_needs() -> None:
    index = (UI_FOLDER / "index.html").read_text(encoding="utf-8")
    styles = re.findall(r'rel="stylesheet" href="/ui/([^"]+)"', index)
    assert sorted(styles) == sorted(
        path.relative_to(UI_FOLDER).as_posix() for path in UI_FOLDER.rglob("*.css")
    )
    preloaded = re.findall(r'rel="modulepreload" href="/ui/([^"]+)"', index)
    assert len(preloaded) == len(set(preloaded))
    needed = scripts_of("app.js", "pages/home.js") - {"app.js"}
    assert needed <= set(preloaded), "a script that is found late holds up the first page"
    assert set(preloaded) <= needed | scripts_of("pages/run.js")


def test_no_line_is_longer_than_120_characters() -> None:
    sources = [*UI_FOLDER.rglob("*"), *(Path(__file__).parent / "ui").glob("*.mjs")]
    long = [
        f"{path.name}:{number}: {len(line)} characters"
        for path in sources
        if path.suffix in (".js", ".css", ".html", ".mjs") and "vendor" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LONGEST
    ]
    assert not long
