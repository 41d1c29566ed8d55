"""Navigation around the main text of a web page, where it can be recognized.

By elements and roles (HTML Standard, 4.3 and 4.4; WAI-ARIA 1.2, landmark roles); by names that only
generators of documentation give to it; and by a name such as "sidebar", where most of it is links.
"""

from __future__ import annotations

import re
from typing import Any

_ROLES = frozenset({"navigation", "search", "banner", "contentinfo", "complementary"})
_ELEMENTS = {"nav": "navigation", "search": "search"}
# DocBook, Sphinx, Texinfo, Doxygen, MediaWiki, Javadoc.
_GENERATED = frozenset(
    {"navheader", "navfooter", "sphinxsidebar", "nav-panel", "nav-path", "navpath", "side-nav"}
    | {"nav-tree", "mw-navigation", "mw-jump-link", "subnav", "skipnav", "skip-link", "headerlink"}
)
_NAMED = re.compile(
    r"(?:^|[-_])(?:nav|navi|navigation|navbar|topnav|bottomnav|sidenav|menu|menubar|sidebar|"
    r"breadcrumbs?|crumbs|pager|pagination|toplang|bottomlang|toolbar)(?:$|[-_0-9])",
    re.IGNORECASE,
)
_BESIDE = frozenset(
    {"next", "prev", "previous", "up", "contents", "index", "start", "top", "first", "last"}
)
"""Relations of a document to others (`rel`; HTML 4.01, 6.12)."""
_LINKS = 0.7
"""Of the letters of what is named so, the part in links; a box beside a text has fewer."""
_MOST = 2000
"""Nodes; what has more is no navigation, and would be looked through again for each part of it."""
_DEEP = 4


def is_around(node: Any, name: str, given: dict[str, str | None]) -> bool:
    """Whether an element is not of the main text: navigation, search, a page's head or foot."""
    role = (given.get("role") or "").strip().lower()
    if role:
        return role in _ROLES
    if name == "footer":
        # Of the whole page, not of an article in it; an aside may be a remark to the text.
        return bool(node.parent.tag == "body")
    if name in _ELEMENTS:
        return True
    names = f"{given.get('class') or ''} {given.get('id') or ''}".split()
    if not names or name in ("body", "html", "main", "article"):
        return False
    if not _GENERATED.isdisjoint(names) or ("header" in names and _leads_on(node)):
        return True
    return any(_NAMED.search(one) for one in names) and _is_of_links(node)


def _leads_on(node: Any) -> bool:
    """Whether it only leads to the pages beside this one, as a node's head of Texinfo's."""
    links = 0
    for seen, one in enumerate(node.traverse()):
        if seen > _MOST:
            return False
        if one.tag == "a":
            if not _BESIDE.issuperset((one.attributes.get("rel") or "none").lower().split()):
                return False
            links += 1
    return links > 0


def _is_of_links(node: Any) -> bool:
    letters = linked = 0
    for seen, one in enumerate(node.traverse(include_text=True)):
        if seen > _MOST:
            return False
        if one.tag == "-text":
            count = sum(map(str.isalnum, one.text_content or ""))
            letters += count
            linked += count * _is_in_link(one)
    return letters > 0 and linked >= _LINKS * letters


def _is_in_link(text: Any) -> bool:
    around = text.parent
    for _ in range(_DEEP):
        if around is None or around.tag == "a":
            return around is not None
        around = around.parent
    return False
