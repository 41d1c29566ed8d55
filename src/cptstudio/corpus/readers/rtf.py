"""Rich Text Format (RTF 1.9.1): what a reader sees, as if every tracked change were accepted."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cptstudio.corpus.readers.equations import text_of_omml
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.number_forms import number_in
from cptstudio.corpus.readers.rtf_math import begun, ended
from cptstudio.corpus.readers.symbol_fonts import UNKNOWN, sign_of, without_private
from cptstudio.corpus.readers.word_fields import is_silent, shown_by
from cptstudio.durable import MEBIBYTE

_LIMIT = 256 * MEBIBYTE
_DEEPEST = 1000
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n\0]+"
    rb"|([^\\{}\r\n\0]+)",
    re.DOTALL,
)
# Windows character sets of fonts (\fcharset) and the encodings that are theirs.
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 78: "shift_jis", 79: "cp949", 80: "gb2312", 81: "big5",
    83: "cp1255", 84: "cp1256", 85: "mac_greek", 86: "mac_turkish", 88: "mac_latin2",
    89: "mac_cyrillic", 128: "cp932", 129: "cp949", 130: "johab", 134: "cp936", 136: "cp950",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_SYMBOL_CHARSET = 2
_WORDS = {
    "tab": "\t", "line": "\n", "softline": "\n", "lbr": "\n", "page": "\n", "column": "\n",
    "emdash": "—", "endash": "–", "emspace": "\u2003", "enspace": "\u2002", "qmspace": "\u2005",  # noqa: RUF001
    "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",  # noqa: RUF001
    "zwj": "\u200d", "zwnj": "\u200c", "nestcell": "\t", "cell": "\t",
}  # fmt: skip
_SIGNS = {b"~": "\N{NO-BREAK SPACE}", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"-": ""}
# Groups that hold no text of the document, or repeat it in another form.
_SILENT = frozenset(
    [
        "colortbl",
        "stylesheet",
        "info",
        "pict",
        "objdata",
        "objclass",
        "objname",
        "xe",
        "tc",
        "txe",
        "rxe",
        "pn",
        "nonesttables",
        "filetbl",
        "listtable",
        "listoverridetable",
        "revtbl",
        "rsidtbl",
        "generator",
        "shprslt",
        "themedata",
        "datastore",
        "colorschememapping",
        "latentstyles",
        "bkmkstart",
        "bkmkend",
        "datafield",
        "ffname",
        "ffl",
        "formfield",
        "ftnsep",
        "ftnsepc",
        "ftncn",
        "aftnsep",
        "aftnsepc",
        "aftncn",
        "private",
        "template",
        "mmathPict",
        "ffdeftext",
        "atnid",
        "atnauthor",
    ]
)
_HEADS = frozenset(kind + place for kind in ("header", "footer") for place in ("", "l", "r", "f"))
# Of those marked as unknown to older programs, the ones that hold text, or what does.
_KNOWN = frozenset(
    {"shpinst", "do", "footnote", "ud", "moMath", "moMathPara", "mmath", "fldinst"}
    | {"nesttableprops"}
)
_EMPTY_LINES = re.compile(r"\n{3,}")


@dataclass
class _Group:
    """The state that holds until a brace closes.

    Attributes:
        shown: its text is the document's.
        over: nothing in it is shown, whatever it says.
        unicode: how many bytes stand beside a character for older programs.
        ends: what is done with its text at its end: "note", "box", "label", "told", "field", or
            "sn" and "sv", the name and the value of a shape's property, or "math".
        math: the element of an equation that it is in.
        start: of a field, how much text there was before it.
    """

    out: list[str]
    shown: bool = True
    over: bool = False
    font: int = 0
    unicode: int = 1
    hidden: bool = False
    deleted: bool = False
    fonts: bool = False
    starred: bool = False
    fresh: bool = True
    ends: str = ""
    endnote: bool = False
    start: int = 0
    math: Any | None = None


@dataclass
class _Font:
    encoding: str = ""
    name: str = ""
    symbols: bool = False


@dataclass
class _Notes:
    foot: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)


def rich_text(item: Item, field_: str) -> Iterator[Iterable[str]]:
    """Yield an RTF file as one document."""
    data = item.read(_LIMIT)
    if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        raise Unreadable("not an RTF file")
    reader = _Reader()
    text = reader.read(data)
    item.left_out.update(reader.left_out)
    item.notes += [f"{count:,} {what}" for what, count in reader.counts.items() if count]
    yield (text,)


class _Reader:
    """Reads one file."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self._main: list[str] = []
        self._group = _Group(self._main)
        self._open: list[_Group] = []
        self._fonts: dict[int, _Font] = {}
        self._encoding = "cp1252"
        self._usual_font = 0
        self._bytes = b""
        self._skip = 0
        self._in_table = False
        self._after_row = False
        self._notes = _Notes()
        self._called = self._ended = 0
        self._label = ""
        self._call: tuple[list[str], int] | None = None
        self._property = ""
        self._told = ""

    def read(self, data: bytes) -> str:
        """Return the text of a file."""
        place, length = 0, len(data)
        while place < length:
            found = _TOKEN.match(data, place)
            if found is None:
                place += 1
                continue
            place = found.end()
            word, number, code, sign, brace, text = found.groups()
            if text is not None:
                self._add(text)
            elif code is not None:
                self._add(bytes([int(code, 16)]))
            elif brace is not None:
                self._flush()
                self._skip = 0
                if brace == b"{":
                    self._begin()
                elif not self._open:
                    break
                else:
                    self._end()
            elif sign is not None:
                self._symbol(sign)
            elif word is not None:
                self._flush()
                self._skip = 0
                value = None if number is None else int(number)
                if word == b"bin":
                    place += max(0, value or 0)
                else:
                    self._word(word.decode("ascii"), value)
                self._group.fresh = False
        self._flush()
        while self._open:
            self._end()
        self._end_of_paragraph()
        parts = ["".join(self._main), *self._notes.end]
        text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
        # Characters beyond U+FFFF come as two halves.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        unknown = text.count(UNKNOWN)
        self.counts["characters have no Unicode value and were replaced with U+FFFD"] = unknown
        return _EMPTY_LINES.sub("\n\n", text)

    def _begin(self) -> None:
        if len(self._open) >= _DEEPEST:
            raise Unreadable("nested too deeply")
        self._open.append(self._group)
        self._group = replace(self._group, fresh=True, starred=False, ends="", endnote=False)

    def _end(self) -> None:
        group, self._group = self._group, self._open.pop()
        if not group.ends:
            return
        if group.ends == "field":
            if is_silent(self._told):
                del group.out[group.start :]
            elif not "".join(group.out[group.start :]).strip():
                self._write(shown_by(self._told))
            self._told = ""
            return
        if group.ends == "math":
            ended(group.math, "".join(group.out))
            if self._group.math is None:
                self._write(text_of_omml(group.math))
            return
        text = "".join(group.out).strip("\n\t ")
        if group.ends == "told":
            self._told = text
        elif group.ends == "label":
            # Of a list: its number, or a bullet.
            if any(sign.isalnum() for sign in text):
                self._write(text + " ")
        elif group.ends == "sn":
            self._property = text
        elif group.ends == "sv":
            # The words of a shape, such as WordArt's; all else says how it looks.
            if text and self._property == "gtextUNICODE":
                self._notes.boxes.append(text)
        elif text and group.ends == "box":
            self._notes.boxes.append(text)
        elif text:
            (self._notes.end if group.endnote else self._notes.foot).append(text)

    def _add(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._bytes += data[skipped:] if skipped else data

    def _flush(self) -> None:
        data, self._bytes = self._bytes, b""
        if not data:
            return
        group = self._group
        if group.fonts:
            font = self._fonts.setdefault(group.font, _Font())
            font.name = (font.name + data.decode("latin-1")).split(";")[0].strip()
            return
        font = self._fonts.get(group.font, _Font())
        if font.symbols:
            self._write("".join(sign_of(font.name, byte) for byte in data))
        else:
            self._write(data.decode(font.encoding or self._encoding, "replace"))

    def _write(self, text: str) -> None:
        group = self._group
        if group.over or not group.shown or group.deleted:
            return
        if group.hidden:
            self.left_out["passages of hidden text"] += bool(text.strip())
            return
        if self._after_row and group.out is self._main:
            self._after_row = False
            if not self._in_table:
                self._end_of_paragraph()
        font = self._fonts.get(group.font)
        text = without_private(text, font.name if font is not None else "")
        group.out.append(text)

    def _symbol(self, sign: bytes) -> None:
        self._flush()
        if sign == b"*":
            self._group.starred = True
            return
        self._group.fresh = False
        if self._skip:
            self._skip -= 1
        elif sign in b"\r\n":
            self._word("par", None)
        else:
            self._write(_SIGNS.get(sign, ""))

    def _word(self, word: str, value: int | None) -> None:
        group = self._group
        if (group.starred and group.fresh and word not in _KNOWN) or word in _SILENT:
            group.over = True
        elif word == "u" and value is not None:
            self._write(chr(value & 0xFFFF))
            self._skip = group.unicode
        elif word in ("par", "sect"):
            self._paragraph()
        elif word in _WORDS:
            self._write(_WORDS[word])
        elif word in ("row", "nestrow"):
            self._row(word == "row")
        elif not self._format(group, word, value):
            self._destination(group, word)
        group.starred = False

    def _format(self, group: _Group, word: str, value: int | None) -> bool:
        """What a text looks like, and how its bytes spell it."""
        if word == "f" and value is not None:
            group.font = value
        elif word == "fcharset" and group.fonts:
            font = self._fonts.setdefault(group.font, _Font())
            font.symbols = value == _SYMBOL_CHARSET
            font.encoding = _CHARSETS.get(value or 0, "") if value != 0 else ""
        elif word in ("ansicpg", "cpg"):
            self._code_page(group, value)
        elif word in ("mac", "pc", "pca"):
            self._encoding = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[word]
        elif word == "deff":
            self._usual_font = group.font = value or 0
        elif word == "uc":
            group.unicode = max(0, value if value is not None else 1)
        elif word == "v":
            group.hidden = value != 0
        elif word == "deleted":
            group.deleted = value != 0
        elif word == "plain":
            group.hidden = group.deleted = False
            group.font = self._usual_font
        elif word == "pard":
            self._in_table = False
        elif word == "intbl":
            self._in_table = True
        else:
            return False
        return True

    def _code_page(self, group: _Group, value: int | None) -> None:
        name = {65001: "utf-8", 10000: "mac_roman"}.get(value or 0, f"cp{value}")
        try:
            codecs.lookup(name)
        except LookupError:
            return
        if group.fonts:
            self._fonts.setdefault(group.font, _Font()).encoding = name
        else:
            self._encoding = name

    def _destination(self, group: _Group, word: str) -> None:
        if word == "fonttbl":
            group.fonts, group.shown = True, False
        elif word in _HEADS:
            group.over = True
            self.left_out["headers and footers"] += 1
        elif word == "annotation":
            group.over = True
            self.left_out["comments"] += 1
        elif word in ("shpinst", "do", "upr"):
            group.shown = False
        elif word == "ud":
            group.shown = self._shown_around("upr")
        elif word in ("shptxt", "dptxbxtext"):
            group.out, group.shown, group.ends = [], True, "box"
        elif word == "field":
            group.ends, group.start = "field", len(group.out)
        elif word == "fldinst":
            group.out, group.ends = [], "told"
        elif word in ("listtext", "pntext"):
            group.out, group.ends = [], "label"
        elif word == "footnote":
            group.out, group.ends = [], "note"
        elif word == "ftnalt":
            self._is_endnote(group)
        elif word == "chftn":
            self._mark(group)
        elif word in ("sn", "sv"):
            group.out, group.shown, group.ends = [], True, word
        elif word.startswith("m"):
            self._equation(group, word)

    def _equation(self, group: _Group, word: str) -> None:
        around = self._open[-1].math if self._open else None
        if group.math is around and not group.over:
            element = begun(around, word)
            if element is not None:
                group.math, group.out, group.ends = element, [], "math"
            elif word.endswith("Pr"):
                group.over = True

    def _mark(self, group: _Group) -> None:
        """The number of a note, at its call or before it."""
        if any(one.ends == "note" for one in (*self._open, group)):
            self._write(f"[{self._label}] ")
            return
        self._called += 1
        self._label = str(self._called)
        before = len(group.out)
        self._write(f"[{self._label}]")
        # What follows says whether it is a footnote.
        self._call = (group.out, before) if len(group.out) > before else None

    def _is_endnote(self, group: _Group) -> None:
        group.endnote = True
        call, self._call = self._call, None
        if call is None:
            return
        self._called -= 1
        self._ended += 1
        self._label = number_in("lowerRoman", self._ended)
        out, place = call
        out[place] = f"[{self._label}]"

    def _shown_around(self, _: str) -> bool:
        # Of {\upr{ANSI}{\*\ud{Unicode}}} the second is shown where the whole would be.
        return len(self._open) < 2 or self._open[-2].shown

    def _paragraph(self) -> None:
        inner = self._in_table or self._group.out is not self._main
        self._write("\n" if inner else "\n\n")
        if not inner and not (self._group.over or self._group.deleted):
            self._end_of_paragraph()

    def _row(self, whole: bool) -> None:
        out = self._group.out
        if out and out[-1] == "\t":
            out.pop()
        if whole or not self._group.shown:
            self._write("\n")
        elif not self._group.deleted:
            # It stands among what says how an inner table looks, which is not shown.
            out.append("\n")
        self._after_row = whole and out is self._main

    def _end_of_paragraph(self) -> None:
        if self._main and not self._main[-1].endswith("\n\n"):
            self._main.append("\n\n")
        for waiting in (self._notes.boxes, self._notes.foot):
            self._main += [text + "\n\n" for text in waiting]
            waiting.clear()
