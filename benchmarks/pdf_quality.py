"""What reading a PDF keeps: R's manuals as PDF against the same manuals as HTML, and the speed.

    python -m benchmarks.pdf_quality PDF_FOLDER HTML_FOLDER [--rounds 3] [--json FILE]
    python -m benchmarks.pdf_quality PDF_FOLDER --scans 4 [--dpi 200]

The folders hold files of the same names, such as Debian's packages r-doc-pdf and r-doc-html install
under /usr/share/R/doc/manual. How it is measured:

- **Words** are runs of letters, digits and underscores after Unicode's NFKC. Left out of the HTML
  is what a printed manual says in other words or not at all: navigation, tables of contents,
  indexes, and the texts of links within the manual ("see Packages" is "see Chapter 13 [Packages],
  page 83").
- **In order**: the longest common subsequence of the HTML's words and the PDF's, over the HTML's
  words. Both are cut where eight words in a row occur in each exactly once, which can only make it
  shorter. Footnotes, which the HTML has at its end, are looked for among the words left over.
- **Torn, joined**: where the two differ, a word of the HTML that is two or three of the PDF in a
  row, or the other way around.
- **Running heads left**: pages whose first line, as pypdf reads it, is in the text as it stands
  there, and paragraphs that are a page's number only.
- **Scans** (`--scans PAGES`): so many pages of each PDF, from its middle, are drawn and read by
  text recognition; counted is what it has, in order, of the words of the same pages as text.
- **Speed**: seconds of computing of one process, manual by manual in turn; ratios within a round,
  their median.
"""

from __future__ import annotations

import argparse
import bisect
import io
import json
import logging
import re
import statistics
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2  # type: ignore[import-untyped]
from rapidfuzz.distance import LCSseq
from selectolax.lexbor import LexborHTMLParser

from benchmarks.scans import scanned
from cptstudio.corpus.ocr import Recognizer
from cptstudio.corpus.readers.items import Item
from cptstudio.corpus.readers.pdf import pdf

_WORD = re.compile(r"\w+")
_NOT_PRINTED = (
    "head, div.header, div.Contents_element, div.contents, h2.contents-heading, ul.section-toc, "
    "a.copiable-anchor, [class^=index-]"
)
_BLOCK_END = re.compile(r"</(?:t[dh]|h\d|p|li|d[td]|pre|div)>|<br", re.IGNORECASE)
_ANCHOR = 8
_EXAMPLES = 40
_SHOWN = 5


@dataclass
class Quality:
    """What a PDF's text keeps of the HTML's words.

    Attributes:
        words: of the HTML.
        in_order: of them found in order.
        torn, joined: words.
        examples: some of the torn and joined, and of what is missing.
    """

    words: int = 0
    in_order: int = 0
    torn: int = 0
    joined: int = 0
    heads_left: int = 0
    numbers_left: int = 0
    examples: list[str] = field(default_factory=list)


def words_of(text: str) -> list[str]:
    """The text's words, in order."""
    return _WORD.findall(unicodedata.normalize("NFKC", text))


def printed_words(html: str) -> tuple[list[str], list[list[str]]]:
    """The words of a manual that its printed form has, and those of each footnote."""
    # Nothing may be between blocks and cells but their edges.
    page = LexborHTMLParser(_BLOCK_END.sub(r" \g<0>", html))
    for node in page.css(_NOT_PRINTED):
        node.decompose()
    for node in page.css("table"):
        if node.css_first("a.summary-letter") is not None:
            node.decompose()
    notes = []
    for node in page.css("div.footnote"):
        notes = [words_of(one.text()) for one in node.css("p")]
        node.decompose()
    for node in page.css("a[href^='#']"):
        node.decompose()
    body = page.body
    return words_of(body.text(separator="") if body else ""), notes


def common(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places of a long common subsequence, in order."""
    pairs: list[tuple[int, int]] = []
    start_one = start_other = 0
    for one, other in [*_anchors(ours, theirs), (len(ours), len(theirs))]:
        if one - start_one < 1_000 and one < len(ours):
            continue
        blocks = LCSseq.opcodes(ours[start_one:one], theirs[start_other:other])
        for block in blocks:
            if block.tag == "equal":
                length = block.src_end - block.src_start
                first, second = start_one + block.src_start, start_other + block.dest_start
                pairs += [(first + n, second + n) for n in range(length)]
        start_one, start_other = one, other
    return pairs


def _anchors(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Where the same eight words begin that each has once; rising in both."""

    def once(words: Sequence[str]) -> dict[tuple[str, ...], int]:
        runs = [tuple(words[n : n + _ANCHOR]) for n in range(len(words) - _ANCHOR + 1)]
        counts = Counter(runs)
        return {run: n for n, run in enumerate(runs) if counts[run] == 1}

    first, second = once(ours), once(theirs)
    places = [(n, second[run]) for run, n in first.items() if run in second]
    # The longest rising chain, by patience sorting.
    tops: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, (_, place) in enumerate(places):
        at = bisect.bisect_left(tops, place)
        before.append(last[at - 1] if at else -1)
        if at == len(tops):
            tops.append(place)
            last.append(index)
        else:
            tops[at], last[at] = place, index
    chain = []
    index = last[-1] if last else -1
    while index >= 0:
        chain.append(places[index])
        index = before[index]
    return chain[::-1]


def compare(expected: list[str], notes: list[list[str]], found: list[str]) -> Quality:
    """Return what `found` keeps of the words that are expected."""
    pairs = common(expected, found)
    quality = Quality(len(expected) + sum(map(len, notes)), len(pairs))
    left_over: list[str] = []
    former = (-1, -1)
    for pair in [*pairs, (len(expected), len(found))]:
        ours, theirs = expected[former[0] + 1 : pair[0]], found[former[1] + 1 : pair[1]]
        left_over += theirs
        if ours:
            torn, joined = _torn(ours, theirs), _torn(theirs, ours)
            quality.torn += len(torn)
            quality.joined += len(joined)
            kind = "torn" if torn else "joined" if joined else "differs"
            quality.examples.append(f"{kind}: {' '.join(ours[:12])} | {' '.join(theirs[:12])}")
        former = pair
    for note in notes:
        quality.in_order += len(common(note, left_over))
    return quality


def _torn(whole: list[str], parts: list[str]) -> list[str]:
    runs = {
        "".join(parts[start : start + length])
        for length in (2, 3)
        for start in range(len(parts) - length + 1)
    }
    return [word for word in whole if word in runs]


def text_of(path: Path) -> str:
    """A PDF's text as a corpus would get it."""
    item = Item(path.name, ".pdf", lambda: path.open("rb"))
    return "".join(part for document in pdf(item, "") for part in document)


def recognized(path: Path, pages: int, dpi: int) -> tuple[Quality, float]:
    """What recognition has of pages that are drawn, and its seconds a page."""
    with pypdfium2.PdfDocument(path) as document, pypdfium2.PdfDocument.new() as part:
        first = max(0, len(document) // 2 - pages // 2)
        pages = min(pages, len(document) - first)
        part.import_pages(document, list(range(first, first + pages)))
        text = io.BytesIO()
        part.save(text)
    scan = scanned(path, pages, first=first, dpi=dpi)
    recognizer = Recognizer(())
    item = Item(path.name, ".pdf", lambda: io.BytesIO(scan), recognizer=recognizer)
    started = time.monotonic()
    found = "".join(part for document in pdf(item, "") for part in document)
    seconds = (time.monotonic() - started) / pages
    recognizer.close()
    item = Item(path.name, ".pdf", lambda: io.BytesIO(text.getvalue()))
    expected = "".join(part for document in pdf(item, "") for part in document)
    return compare(words_of(expected), [], words_of(found)), seconds


def measure_scans(folder: Path, pages: int, dpi: int) -> None:
    """Print what recognition has of some pages of each PDF."""
    total = Quality()
    print("| Drawn | Words | In order | Torn | Joined | Seconds a page |")
    print("|---|---|---|---|---|---|")
    for path in sorted(folder.glob("*.pdf")):
        one, seconds = recognized(path, pages, dpi)
        for name in ("words", "in_order", "torn", "joined"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        for name, found in ((path.stem, one), ("so far", total)):
            print(
                f"| {name} | {found.words:,} | {found.in_order / max(found.words, 1):.2%} "
                f"| {found.torn} | {found.joined} | {seconds:.1f} |",
                flush=True,
            )
        print(*one.examples[:_SHOWN], sep="\n")


def plain_text(path: Path) -> int:
    """Read a PDF's text as PDFium gives it."""
    with path.open("rb") as file:
        document = pypdfium2.PdfDocument(file)
        return sum(len(page.get_textpage().get_text_range()) for page in document)


def pypdf_pages(path: Path) -> list[str]:
    """A PDF's pages as pypdf reads them."""
    return [page.extract_text() for page in pypdf.PdfReader(path).pages]


def heads_left(text: str, pages: list[str]) -> tuple[int, int]:
    """Running heads and page numbers that are in the text, of a manual made by Texinfo."""
    head = re.compile(r"(?:Chapter \d+|Appendix [A-Z]): .* \d+")
    firsts = [page.strip().partition("\n")[0].strip() for page in pages]
    left = sum(bool(head.fullmatch(first)) and first in text for first in firsts)
    numbers = [part for part in text.split("\n\n") if re.fullmatch(r"\d+|[ivxl]+", part.strip())]
    return left, len(numbers)


def timed(read: Callable[[Path], object], path: Path) -> float:
    """Seconds of computing."""
    started = time.process_time()
    read(path)
    return time.process_time() - started


def measure(folder: Path, html_folder: Path, rounds: int) -> dict[str, Any]:
    """Measure each manual that both folders hold."""
    result: dict[str, Any] = {"manuals": {}}
    total = Quality()
    seconds: dict[str, list[float]] = {"pypdf": [], "plain": [], "ours": []}
    readers: dict[str, Callable[[Path], object]] = {
        "pypdf": pypdf_pages, "plain": plain_text, "ours": text_of,
    }  # fmt: skip
    paths = [
        path
        for path in sorted(folder.glob("*.pdf"))
        if (html_folder / f"{path.stem}.html").exists()
    ]
    for path in paths:
        html = (html_folder / f"{path.stem}.html").read_text(encoding="utf-8")
        text = text_of(path)
        quality = compare(*printed_words(html), words_of(text))
        quality.heads_left, quality.numbers_left = heads_left(text, pypdf_pages(path))
        result["manuals"][path.stem] = asdict(quality)
        for name in ("words", "in_order", "torn", "joined", "heads_left", "numbers_left"):
            setattr(total, name, getattr(total, name) + getattr(quality, name))
    for _ in range(rounds):
        taken = dict.fromkeys(readers, 0.0)
        for path in paths:
            for name, read in readers.items():
                taken[name] += timed(read, path)
        for name, sum_of_all in taken.items():
            seconds[name].append(sum_of_all)
    result["all"] = asdict(total)
    result["seconds"] = {name: statistics.median(times) for name, times in seconds.items()}
    for name in ("plain", "ours"):
        ratios = [slow / quick for slow, quick in zip(seconds["pypdf"], seconds[name], strict=True)]
        result[f"times_pypdf_{name}"] = statistics.median(ratios) if ratios else None
    return result


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pdf_folder", type=Path)
    parser.add_argument("html_folder", type=Path, nargs="?")
    parser.add_argument("--scans", type=int, metavar="PAGES")
    parser.add_argument("--dpi", type=int, default=200, help="of scans")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; at least 1")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.scans:
        measure_scans(options.pdf_folder, options.scans, options.dpi)
        return
    if options.html_folder is None:
        parser.error("give the folder of the same files as HTML, or --scans")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    result = measure(options.pdf_folder, options.html_folder, options.rounds)
    print("| Manual | Words | In order | Torn | Joined | Heads left | Numbers left |")
    print("|---|---|---|---|---|---|---|")
    for name, one in [*result["manuals"].items(), ("all", result["all"])]:
        share = one["in_order"] / max(one["words"], 1)
        print(
            f"| {name} | {one['words']:,} | {share:.2%} | {one['torn']:,} | {one['joined']:,} "
            f"| {one['heads_left']} | {one['numbers_left']} |"
        )
    print({key: value for key, value in result.items() if key not in ("manuals", "all")})
    if options.json:
        options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
