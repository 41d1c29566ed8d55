"""The conversations of a file, in its order; what is none is counted by its reason."""

from __future__ import annotations

from collections.abc import Iterator

from cptstudio.corpus.conversations.conversation import Conversation, ConversationError
from cptstudio.corpus.conversations.forms import Columns, read_record
from cptstudio.corpus.readers.dispatch import read_records
from cptstudio.corpus.readers.items import Item


def read_conversations(item: Item, columns: Columns | None) -> Iterator[Conversation]:
    """Yield the conversations of an item.

    Args:
        item: gets the forms that were read, and what was left out.
        columns: the fields or columns that the user named.

    Raises:
        Unreadable: nothing, or nothing more, can be read from it.
    """
    records, columnar = read_records(item, columns)
    for item.place, record in records:
        try:
            found = read_record(record, columns, columnar=columnar)
        except ConversationError as error:
            leave_out(item, error)
            continue
        item.forms[found.form] += 1
        yield found.conversation


def leave_out(item: Item, error: ConversationError) -> None:
    """Count a record that is no conversation, and note it with its place."""
    item.no_conversations[error.kind] += 1
    item.findings.add(f"{item.place}: {error}")
