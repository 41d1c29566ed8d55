"""The table of formats, by whose suffixes the reader of an item is chosen.

Help texts, the pages (`/api/uploads/formats`), docs/documents.md and the harness of damaged files
are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable

Reader = Callable[[Item, str], Iterator[Iterable[str]]]
RecordReader = Callable[[Item, Columns | None], Iterator[tuple[str, Any]]]
"""Yields the records of an item, each after its place; gets the fields that the user named."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        title: in a sentence.
        suffixes: lower case with the dot.
        read: yields its documents, each as parts of its text; gets the item and the text field.
        records: where its documents are records, of which the text field holds the text, yields
            them whole.
        columnar: its records all have the same fields, empty ones among them.
        light: its reader is Python's own and takes less time than a process takes to start; all
            others run in processes of their own, for they may crash, and the time pays.
    """

    title: str
    suffixes: tuple[str, ...]
    read: Reader
    records: RecordReader | None = None
    columnar: bool = False
    light: bool = False


def reader(name: str) -> Reader:
    """Return a reader by its module here and its name.

    Readers load what only they use, such as PDFium, so each is loaded when it reads: the server and
    most commands only ask which formats there are.
    """

    def read(item: Item, field: str) -> Iterator[Iterable[str]]:
        found: Reader = _named(name)
        return found(item, field)

    return read


def record_reader(name: str) -> RecordReader:
    """Return a reader of whole records, as `reader` does."""

    def read(item: Item, columns: Columns | None) -> Iterator[tuple[str, Any]]:
        found: RecordReader = _named(name)
        return found(item, columns)

    return read


def _named(name: str) -> Any:
    module, _, function = name.partition(".")
    return getattr(import_module(f"{__package__}.{module}"), function)


def _text(item: Item, field: str) -> Iterator[Iterable[str]]:
    yield decoded(item)


FORMATS = (
    Format("text", (".txt",), _text, light=True),
    Format("Markdown", (".md", ".markdown"), _text, light=True),
    Format("reStructuredText", (".rst",), _text, light=True),
    Format("TeX", (".tex",), _text, light=True),
    Format("HTML", (".html", ".htm", ".xhtml"), reader("markup.html")),
    Format("PDF", (".pdf",), reader("pdf.pdf")),
    Format("Word", (".docx", ".docm", ".dotx", ".dotm"), reader("word.word")),
    Format(
        "OpenDocument",
        (".odt", ".ott", ".fodt", ".odp", ".fodp"),
        reader("opendocument.open_document"),
    ),
    Format("RTF", (".rtf",), reader("rtf.rich_text")),
    Format("PowerPoint", (".pptx", ".pptm", ".ppsx"), reader("slides.power_point")),
    Format("EPUB", (".epub",), reader("publications.epub")),
    Format("e-mail", (".eml",), reader("mail.message")),
    Format("mailboxes", (".mbox",), reader("mail.mailbox")),
    Format("saved web pages", (".mht", ".mhtml"), reader("mail.saved_page")),
    Format("subtitles", (".srt", ".vtt"), reader("subtitles.cues"), light=True),
    Format("SubStation subtitles", (".ass", ".ssa"), reader("subtitles.sub_station"), light=True),
    Format("Jupyter notebooks", (".ipynb",), reader("records.notebook"), light=True),
    Format(
        "JSON lines",
        (".jsonl", ".ndjson"),
        reader("records.json_lines"),
        records=record_reader("records.line_records"),
        light=True,
    ),
    Format(
        "JSON",
        (".json",),
        reader("records.json_document"),
        records=record_reader("records.document_records"),
        light=True,
    ),
    Format(
        "CSV",
        (".csv", ".tsv"),
        reader("tables.table"),
        records=record_reader("tables.table_records"),
        light=True,
    ),
    Format(
        "Parquet",
        (".parquet",),
        reader("columns.parquet"),
        records=record_reader("columns.parquet_records"),
        columnar=True,
    ),
    Format(
        "Arrow",
        (".arrow",),
        reader("columns.arrow_table"),
        records=record_reader("columns.arrow_records"),
        columnar=True,
    ),
    # What no other format claims, if its content is text.
    Format("any other text, such as source code", (), _text, light=True),
)
PACKED = (".gz", ".zst", ".zip")
"""What is unpacked by itself (`items.py`)."""

_READERS = {suffix: one.read for one in FORMATS for suffix in one.suffixes}
_OF_RECORDS = {suffix: one for one in FORMATS for suffix in one.suffixes if one.records}
_HEAVY = frozenset(
    {".zip", *(suffix for one in FORMATS if not one.light for suffix in one.suffixes)}
)
_ARCHIVES = frozenset({".zip", ".gz", ".zst", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
# Kinds whose bytes would pass for text, or that deserve a better word than "binary".
_NOT_READ = {
    **dict.fromkeys((".doc", ".dot", ".pages", ".wpd", ".wps"), "save it as .docx or .pdf"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".numbers"), "save it as .csv"),
    **dict.fromkeys((".ppt", ".pps"), "save it as .pptx or .pdf"),
    **dict.fromkeys((".msg", ".pst", ".ost"), "save the messages as .eml or .mbox"),
    **dict.fromkeys((".odg", ".vsd", ".vsdx"), "save it as .pdf"),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".djvu", ".ps"), "convert it to .epub or .pdf"),
}
# What `datasets` writes beside the .arrow files of a dataset that is saved to disk.
_DATASET_DESCRIPTIONS = ("/dataset_info.json", "/dataset_dict.json", "/state.json")


def read_documents(item: Item, text_field: str) -> Iterator[Iterable[str]]:
    """Yield the documents of an item, each as parts of its text.

    Args:
        item: what to read.
        text_field: the field or column that holds the text of records.

    Raises:
        Unreadable: nothing, or nothing more, can be read from it.
    """
    _check_suffix(item)
    read = _READERS.get(item.suffix, _text)
    if read is not _text:
        _check_not_empty(item)
    yield from read(item, text_field)


def read_records(item: Item, columns: Columns | None) -> tuple[Iterator[tuple[str, Any]], bool]:
    """Return the records of an item, each after its place, and whether they are `columnar`.

    Args:
        item: what to read.
        columns: the fields that the user named.

    Raises:
        Unreadable: it holds no records, or nothing, or nothing more, can be read from it.
    """
    _check_suffix(item)
    one = _OF_RECORDS.get(item.suffix)
    if one is None or one.records is None:
        raise Unreadable(
            f"not a file of conversations, which are read from {suffixes_of_records()}"
        )
    _check_not_empty(item)
    return one.records(item, columns), one.columnar


def _check_suffix(item: Item) -> None:
    if item.suffix in _ARCHIVES:
        kind = "archive inside another file" if "!" in item.label else "archive"
        raise Unreadable(f"{kind} of an unsupported type; unpack it first")
    if item.label.endswith(_DATASET_DESCRIPTIONS):
        raise Unreadable("describes a dataset but contains no text")
    if item.suffix in _NOT_READ:
        raise Unreadable(f"unsupported file type ({item.suffix}): {_NOT_READ[item.suffix]}")


def _check_not_empty(item: Item) -> None:
    with item.open() as file:
        if not file.read(1):
            raise Unreadable("empty file")


def is_light(suffixes: Sequence[str]) -> bool:
    """Return whether a file of these suffixes is read by Python's own means, see `Format.light`."""
    last = [suffix.lower() for suffix in suffixes[-2:]]
    if last and last[-1] in (".gz", ".zst"):
        last.pop()
    return not last or last[-1] not in _HEAVY


def read_as(suffixes: Sequence[str], label: str) -> tuple[str, bool]:
    """Return what of a file's name decides how it is read: files of one are read alike."""
    last = "".join(suffixes[-2:]).lower()
    return last, label.endswith(_DATASET_DESCRIPTIONS)


def listed(words: Iterable[str]) -> str:
    """Return the words as a list in a sentence."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def formats_in_words() -> str:
    """Return all formats, for a sentence."""
    return listed(one.title for one in FORMATS)


def suffixes_of_records() -> str:
    """Return the suffixes of formats that have a text field, for a sentence."""
    return listed(suffix for one in FORMATS if one.records is not None for suffix in one.suffixes)
