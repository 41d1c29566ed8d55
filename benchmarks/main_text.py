"""How much of a page's main text reading keeps, and how much of what stands around it.

    python -m benchmarks.main_text FOLDER [--pages 12]

FOLDER holds unpacked packages of documentation (`apt-get download PACKAGE; dpkg -x`), of the names
below: pages of several generators, each of which has elements of its own around the main text.
Of each, pages are taken at random; words are compared in order (longest common subsequence). Where
trafilatura is installed it is measured, too.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rapidfuzz.distance import LCSseq
from selectolax.lexbor import LexborHTMLParser

from benchmarks.office_quality import words_of
from cptstudio.corpus.readers.markup import text_of_html

PAGES = {
    "Sphinx": ("python3.*-doc/**/html/**/*.html", "div[role=main]", ".headerlink"),
    "Sphinx, of CMake": ("cmake-doc/**/html/**/*.html", "div[role=main]", ".headerlink"),
    "Apache httpd": ("apache2-doc/**/en/**/*.html", "#page-content", "#quickview, .up, .toplang"),
    "gtk-doc": ("lib*-doc/**/gtk-doc/**/*.html", "div.refentry, div.chapter, div.part", ""),
    "Doxygen": ("libeigen3-doc/**/*.html", "div.header, div.contents", ""),
    "Node.js": ("nodejs-doc/**/*.html", "#apicontent", ".mark"),
    "DocBook": ("postgresql-doc-*/**/*.html", "div.sect1, div.chapter, div.refentry", ""),
    "SQLite": ("sqlite3-doc/**/*.html", "body", ".nosearch"),
    "Texinfo, of R": ("r-doc-html/**/manual/*.html", "body", ".header, .nav-panel"),
    "Texinfo, of zsh": ("zsh-doc/**/*.html", "body", ".header, .nav-panel"),
}
"""Of each generator where its pages are, what holds their main text, and what of that does not."""
_SIZES = range(5_000, 4_000_000)
_FEWEST = 150


def main_text(source: str, holds: str, without: str) -> str:
    """The main text of a page, as its generator marks it."""
    tree = LexborHTMLParser(source)
    for node in tree.css(without) if without else ():
        node.decompose()
    nodes = tree.css(holds)
    outermost = (node for node in nodes if not any(_is_in(node, other) for other in nodes))
    return "\n".join(text_of_html(node.html or "") for node in outermost)


def _is_in(node: Any, other: Any) -> bool:
    around = node.parent
    while around is not None:
        if around.mem_id == other.mem_id:
            return True
        around = around.parent
    return False


def extractors() -> Iterator[tuple[str, Callable[[str], str]]]:
    """What is compared."""
    yield "whole", text_of_html
    yield "main text", lambda source: text_of_html(source, main=True)
    try:
        import trafilatura
    except ImportError:
        return
    yield "trafilatura", lambda source: trafilatura.extract(source, include_tables=True) or ""


def main() -> None:
    """Print a line a generator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=12)
    given = parser.parse_args()
    for name, (where, holds, without) in PAGES.items():
        files = [path for path in sorted(given.folder.glob(where)) if path.is_file()]
        random.Random(7).shuffle(files)
        counts = {kind: [0, 0] for kind, _ in extractors()}
        words = pages = 0
        for path in files:
            if pages == given.pages or path.stat().st_size not in _SIZES:
                continue
            source = path.read_text("utf-8", "replace")
            wanted = words_of(main_text(source, holds, without))
            if len(wanted) < _FEWEST:
                continue
            pages, words = pages + 1, words + len(wanted)
            for kind, extract in extractors():
                found = words_of(extract(source))
                kept = LCSseq.similarity(wanted, found)
                counts[kind][0] += len(wanted) - kept
                counts[kind][1] += len(found) - kept
        told = "; ".join(
            f"{kind}: {lost / max(1, words):.1%} lost, {more / max(1, words):.1%} of around it"
            for kind, (lost, more) in counts.items()
        )
        print(f"{name}: {pages} pages, {words:,} words; {told}", flush=True)


if __name__ == "__main__":
    main()
