"""The Modelfile of a GGUF file, with which Ollama takes it (docs.ollama.com/modelfile)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from cptstudio.errors import UserError
from cptstudio.exports.gguf_checks import SourceTokenizer
from cptstudio.exports.ollama_template import Render, learn

MODELFILE = "Modelfile"
_DATED = ("strftime_now", "datetime")


@dataclass(frozen=True)
class Modelfile:
    """Its text, and what a user should know of it, a sentence each."""

    text: str
    notes: list[str]


def modelfile(file: str, source: SourceTokenizer, render: Render | None) -> Modelfile:
    """Return the Modelfile of a file that lies beside it.

    Args:
        file: name of the GGUF file.
        render: applies the chat template; None where there is none.
    """
    lines, notes = [f"FROM ./{file}"], []
    end = source.text_of(source.end)
    if render is None:
        lines.append('TEMPLATE """{{ .Prompt }}"""')
        stops = [end] if end else []
        notes.append("The model has no chat template: Ollama continues what it is given.")
    else:
        start = source.text_of(source.start) if source.adds_start else None
        try:
            learned = learn(render, start)
        except UserError as error:
            notes.append(error.message)
            stops = [end] if end else []
        else:
            lines.append(f'TEMPLATE """{learned.go_template()}"""')
            stops = learned.stops(list(source.special.values()), end)
            notes += learned.notes
        if source.template and any(word in source.template for word in _DATED):
            notes.append("The chat template writes the date: in the Modelfile it stays today's.")
        if source.template and "tools" in source.template:
            notes.append("Tools are not in the Modelfile's template: Ollama passes none on.")
    lines += [f"PARAMETER stop {quoted(stop)}" for stop in stops]
    return Modelfile("\n".join(lines) + "\n", notes)


def quoted(text: str) -> str:
    """Return a value as a Modelfile has it."""
    return f'"""{text}"""' if '"' in text else f'"{text}"'


def ollama_program() -> str | None:
    """Return where Ollama's program is, or None."""
    return shutil.which("ollama")


def create_command(name: str) -> list[str]:
    """Return what makes Ollama take a model, called in the export's folder."""
    return ["ollama", "create", name, "-f", MODELFILE]
