"""Chat templates in Go's words: learned, refused, and rendered by Go itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cptstudio.errors import UserError
from cptstudio.exports.gguf_checks import SourceTokenizer
from cptstudio.exports.ollama import modelfile
from cptstudio.exports.ollama_template import Messages, Render, learn
from tests.exports.gguf_environment import needs_go

CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nHelp."
    "<|im_end|>\n{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# The system message is a part of the first user's.
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set first = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}{% else %}"
    "{% set first = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ first if loop.first else '' }}{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('none') }}{% endif %}"
    "{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + '</s>' }}"
    "{% endfor %}"
)
# Braces and quotes of Go's and of a Modelfile's own.
BRACES = (
    "{% for m in messages %}{{ '{{' + m.role + '}} \"\"\" {' }}{{ m.content }}{{ '}' }}"
    "{% endfor %}{{ '{{ assistant }}' }}"
)
COUNTING = "{% for m in messages %}[{{ loop.revindex }}]{{ m.content }}{% endfor %}"
TEMPLATES = {
    "chatml": CHATML,
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "no system": NO_SYSTEM,
    "braces": BRACES,
}


def applies(template: str) -> Render:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def refuse(reason: str) -> None:
        raise UserError(reason)

    environment.globals["raise_exception"] = refuse
    compiled = environment.from_string(template)

    def render(messages: Messages) -> str:
        return compiled.render(messages=messages, bos_token="<bos>", add_generation_prompt=True)

    return render


def conversations(takes_system: bool) -> list[list[dict[str, str]]]:
    texts = ["one", "a {{ .Role }} here", 'x """ y', "two\n\nlines", "Ü🦙 <|im_end|>", "{", "end"]
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]
    begins = [[], [{"role": "system", "content": "Be brief."}]] if takes_system else [[]]
    return [[*begin, *turns[:length]] for begin in begins for length in (1, 3, 5, 7)]


@pytest.mark.slow
@needs_go
def test_go_renders_what_jinja_does() -> None:
    asked, wanted = [], []
    for template in TEMPLATES.values():
        render = applies(template)
        learned = learn(render, "<bos>")
        cases = conversations(learned.takes_system)
        asked.append(
            {
                "Template": learned.go_template(),
                "Cases": [
                    [{"Role": one["role"], "Content": one["content"]} for one in case]
                    for case in cases
                ],
            }
        )
        wanted.append([render(case).removeprefix("<bos>") for case in cases])
    program = Path(__file__).with_name("ollama_render.go")
    said = subprocess.run(
        ["go", "run", str(program)], input=json.dumps(asked), capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == wanted


def test_what_a_template_loses_is_told() -> None:
    assert learn(applies(CHATML), None).notes == []
    assert "strips white space" in learn(applies(LLAMA3), "<bos>").notes[0]
    assert "takes no system message" in learn(applies(NO_SYSTEM), None).notes[0]
    with pytest.raises(UserError, match="several ways"):
        learn(applies(COUNTING), None)
    doubled = "{% for m in messages %}{{ m.content }}{% endfor %}{{ messages[0].content }}"
    with pytest.raises(UserError, match="repeats them"):
        learn(applies(doubled), None)
    counts = "{% for m in messages %}{{ '#' if loop.length > 5 }}{{ m.content }}|{% endfor %}"
    with pytest.raises(UserError, match="longer conversations"):
        learn(applies(counts), None)


def test_a_modelfile_has_template_and_stops() -> None:
    special = {1: "<bos>", 2: "<|im_end|>", 3: "<|im_start|>", 4: "<eos>"}
    source = SourceTokenizer(
        encode=lambda text, with_special: [],
        special=special,
        start=1,
        end=4,
        adds_start=True,
        template=CHATML,
        variables={},
    )
    made = modelfile("model-Q8_0.gguf", source, applies(CHATML))
    lines = made.text.splitlines()
    assert lines[0] == "FROM ./model-Q8_0.gguf"
    assert lines[1].startswith('TEMPLATE """{{ $before := "" }}{{ range .Messages }}')
    stops = ["<|im_end|>", "<|im_start|>", "<eos>"]
    assert lines[-3:] == [f'PARAMETER stop "{stop}"' for stop in stops]
    assert made.notes == []
    plain = modelfile("model.gguf", source, None)
    assert 'TEMPLATE """{{ .Prompt }}"""' in plain.text
    assert "no chat template" in plain.notes[0]
    refused = modelfile("model.gguf", source, applies(COUNTING))
    assert "TEMPLATE" not in refused.text
    assert "several ways" in refused.notes[0]
