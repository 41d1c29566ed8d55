"""Chooses the reader of an item by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cptstudio.corpus.readers import markup, publications, records, word
from cptstudio.corpus.readers.decoding import decoded
from cptstudio.corpus.readers.items import Item, Unreadable

Reader = Callable[[Item, str], Iterator[Iterable[str]]]

_READERS: dict[str, Reader] = {
    ".jsonl": records.json_lines,
    ".ndjson": records.json_lines,
    ".json": records.json_document,
    ".ipynb": records.notebook,
    ".csv": records.table,
    ".tsv": records.table,
    ".parquet": records.parquet,
    ".arrow": records.arrow_table,
    ".html": markup.html,
    ".htm": markup.html,
    ".xhtml": markup.html,
    ".pdf": publications.pdf,
    ".docx": word.word,
    ".epub": publications.epub,
}
_ARCHIVES = frozenset({".zip", ".gz", ".zst", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
# Kinds whose bytes would pass for text, or that deserve a better word than "binary".
_NOT_READ = {
    **dict.fromkeys((".rtf", ".doc", ".odt", ".pages", ".wpd"), "save it as .docx, .pdf or .txt"),
    **dict.fromkeys((".xls", ".xlsx", ".ods", ".numbers"), "save it as .csv"),
    **dict.fromkeys((".ppt", ".pptx", ".odp"), "save it as .pdf"),
    **dict.fromkeys((".mht", ".mhtml"), "save it as .html"),
    **dict.fromkeys((".eml", ".msg", ".mbox", ".pst"), "save the messages as .txt"),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".djvu", ".ps"), "convert it to .epub or .pdf"),
}
# What `datasets` writes beside the .arrow files of a dataset that is saved to disk.
_DATASET_DESCRIPTIONS = ("/dataset_info.json", "/dataset_dict.json", "/state.json")


def read_documents(item: Item, text_field: str) -> Iterator[Iterable[str]]:
    """Yield the documents of an item, each as parts of its text.

    A name that no reader knows is read as plain text if its content is text, which covers
    Markdown, reStructuredText, TeX and source code of every language.

    Args:
        item: what to read.
        text_field: the field or column that holds the text of records.

    Raises:
        Unreadable: nothing, or nothing more, can be read from it.
    """
    if item.suffix in _ARCHIVES:
        kind = "is an archive inside another file" if "!" in item.label else "is an archive"
        raise Unreadable(f"{kind} of a kind that is not unpacked: unpack it first")
    if item.label.endswith(_DATASET_DESCRIPTIONS):
        raise Unreadable("describes a dataset and holds no text itself")
    if item.suffix in _NOT_READ:
        raise Unreadable(f"is of a kind that is not read ({item.suffix}): {_NOT_READ[item.suffix]}")
    reader = _READERS.get(item.suffix)
    if reader is None:
        yield decoded(item)
        return
    with item.open() as file:
        if not file.read(1):
            raise Unreadable("is empty")
    yield from reader(item, text_field)
