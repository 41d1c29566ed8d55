"""Where on the hub a file of a corpus came from."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from cptstudio.validation import LateModel


class HubSource(LateModel):
    """A file of a dataset on the hub, by which the same corpus can be built again.

    Attributes:
        commit: 40 hexadecimal digits: the same files for all time.
        file: its path in that commit.
        rows: how many rows were taken from its beginning; None for the whole file.
        sha256: of a whole file, as the hub announced it and as it was found to be; None where the
            hub names another digest of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description='Such as "HuggingFaceFW/fineweb-edu".')
    commit: str
    configuration: str
    split: str
    file: str
    license: str | None = Field(None, description="As the dataset's card names it.")
    rows: int | None = None
    sha256: str | None = None
