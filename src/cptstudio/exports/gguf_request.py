"""What is asked of a GGUF export. Imports no MLX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from cptstudio.evaluation.references import ModelReference
from cptstudio.exports.asked import Compared, request_for
from cptstudio.exports.converter import Converter
from cptstudio.exports.gguf_types import GgufType
from cptstudio.workspace import Workspace


class GgufCompared(Compared):
    """As `Compared`; llama.cpp is asked for one token at a time, so for fewer."""

    max_tokens: int = Field(
        1024,
        ge=256,
        le=10**7,
        title="Tokens of text",
        description="Held-out tokens whose log-probabilities are compared.",
        json_schema_extra={"unit": "tokens"},
    )


def gguf_request(
    source: ModelReference,
    folder: Path,
    kind: GgufType,
    compared: Compared,
    corpora: list[str],
    place: Workspace,
    llama_cpp: Path | None,
) -> dict[str, Any]:
    """Return what `gguf_program` is asked.

    Raises:
        UserError: the converter is not installed, or there is no such corpus.
    """
    Converter(place).check_ready()
    request = request_for(source, folder, compared, corpora, place)
    return {**request, "type": kind, "llama_cpp": llama_cpp}
