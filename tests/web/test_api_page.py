"""docs/api.md says what the server does, docs/documents.md what is read."""

from __future__ import annotations

from scripts.make_api_docs import DOCUMENTS, PAGE, document, page, with_formats


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(document()), "run `make docs`"
    text = DOCUMENTS.read_text(encoding="utf-8")
    assert with_formats(text) == text, "run `make docs`"
