"""Subtitles: SubRip, WebVTT and SubStation Alpha; what is said, a line each, without times."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.durable import MEBIBYTE

_LIMIT = 64 * MEBIBYTE
_TIMES = re.compile(r"\s*(?:\d+:)?\d+:\d+[,.]\d+\s*-->\s*(?:\d+:)?\d+:\d+[,.]\d+")
# Of WebVTT also classes, voices, languages and times inside a line; of SubRip what players know.
_TAGS = re.compile(
    r"</?(?:[biuc]|ruby|v|lang|font|s|strong|em)(?:[.\s][^<>\n]*)?>|<rt>[^<\n]*(?:</rt>)?"
    r"|<(?:\d+:)?\d+:\d+\.\d+>|\{\\[^{}\n]*\}",
    re.IGNORECASE,
)
_OVERRIDES = re.compile(r"\{[^{}\n]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")


def cues(item: Item, field: str) -> Iterator[Iterable[str]]:
    """What SubRip and WebVTT files show; a line that goes on from cue to cue is there once."""
    text = _whole(item).replace("\r\n", "\n").replace("\r", "\n")
    said: list[str] = []
    shown: list[str] = []
    found = False
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.split("\n")
        start = next((place for place, line in enumerate(lines) if _TIMES.match(line)), None)
        if start is None:
            # A head, a style, a remark, or a cue's text after an empty line.
            known = ("WEBVTT", "NOTE", "STYLE", "REGION")
            head = lines[0].lstrip("\ufeff").split(" ")[0].split("\t")[0]
            if not found or head in known:
                continue
            start = -1
        found = True
        new = [_words(line) for line in lines[start + 1 :]]
        new = [line for line in new if line]
        # Live captions roll up: what the cue before showed last comes again.
        kept = [line for line in new if line not in shown]
        shown = new
        if kept:
            said.append(" ".join(kept))
    if not found:
        raise Unreadable("no subtitles found")
    yield (line + "\n" for line in said)


def sub_station(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the dialogue of .ass and .ssa files."""
    said: list[str] = []
    place = 9
    for line in _whole(item).splitlines():
        kind, _, rest = line.partition(":")
        if kind == "Format" and "Text" in rest:
            place = [name.strip() for name in rest.split(",")].index("Text")
        elif kind == "Dialogue":
            values = rest.split(",", place)
            if len(values) > place and not _DRAWING.search(values[place]):
                text = _OVERRIDES.sub("", values[place])
                text = " ".join(re.sub(r"\\[Nnh]", " ", text).split())
                said += [text] if text and said[-1:] != [text] else []
    yield (line + "\n" for line in said)


def _words(line: str) -> str:
    return " ".join(html.unescape(_TAGS.sub("", line)).replace("\N{NO-BREAK SPACE}", " ").split())


def _whole(item: Item) -> str:
    parts, size = [], 0
    for part in decoded(item):
        parts.append(part)
        size += len(part)
        if size > _LIMIT:
            raise Unreadable(f"larger than {_LIMIT // MEBIBYTE} MiB")
    return "".join(parts)
