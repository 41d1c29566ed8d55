"""The pages' sources: who imports whom."""

from __future__ import annotations

import posixpath
import re
from graphlib import TopologicalSorter

from cptstudio.web.pages import UI_FOLDER

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
