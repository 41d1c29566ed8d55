"""docs/api.md says what the server does."""

from __future__ import annotations

from scripts.make_api_docs import PAGE, document, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(document()), "run `make docs`"
