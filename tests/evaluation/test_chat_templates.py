"""Chat templates: rendered as transformers does, and none takes loaded models with it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from cptstudio import child_limits
from cptstudio.corpus.conversations.chat_templates import Rendering, TemplateRenderer
from cptstudio.errors import UserError
from cptstudio.evaluation.completion import prompt_tokens
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Status
from cptstudio.evaluation.references import ModelReference
from cptstudio.lm.loading import load_for_inference

pytestmark = pytest.mark.slow

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OTHERS = (
    "{{ bos_token }}{% for m in messages %}[{{ loop.index0 }}]{{ m.content }}{{ eos_token }}"
    "{% endfor %}{% if enable_thinking is defined %}{{ enable_thinking }}{% endif %}",
    "{%- set ns = namespace(n=0) -%}{% generation %}x{% endgeneration %}{{ messages | tojson }}"
    "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}"
    "{% endfor %}{{ tools is none }}",
)
RAISING = "{{ raise_exception('System role not supported') }}"
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
GROWING = (
    "{% set ns = namespace(x='ab') %}"
    "{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
)
CHAT = Prompt(
    chat=({"role": "system", "content": "Short."}, {"role": "user", "content": " größer "})
)


def model_with(folder: Path, template: str) -> Path:
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.fixture
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer()
    yield renderer
    renderer.close()


def test_a_prompt_is_that_of_transformers(tmp_path: Path, renderer: TemplateRenderer) -> None:
    for number, template in enumerate((CHATML, *OTHERS)):
        loaded = load_for_inference(model_with(tmp_path / str(number), template))
        expected = prompt_tokens(loaded, CHAT)
        assert len(expected) > 5
        assert prompt_tokens(loaded, CHAT, renderer.render) == expected


def test_a_template_has_little_time_and_memory(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_limits, "TEMPLATE_SECONDS", 1.0)
    messages = [dict(message) for message in CHAT.chat or ()]
    with pytest.raises(UserError, match="It did not answer within 1 s"):
        renderer.render(ENDLESS, messages, {})
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"The limit on this machine is 1\.1 GB"):
        renderer.render(GROWING, messages, {})
    with pytest.raises(UserError, match="creates a prompt of 9,000,000 characters"):
        renderer.render("{{ 'a' * 9000000 }}", messages, {})
    assert renderer.render("{{ messages[1].content }}", messages, {}) == " größer "


def test_renderings_of_training_do_not_depend_on_day_or_chance(renderer: TemplateRenderer) -> None:
    template = (
        "{{ strftime_now('%d %b %Y') }}{{ range(999) | random }}:{{ messages[0].content }}"
        "{% generation %}{{ messages[1].content }}{% endgeneration %}"
    )
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "yes"}]
    asked = [Rendering(messages, False), Rendering(messages[:1], True)] * 300
    found = renderer.render_all(template, asked, {})
    assert len(found) == 600 and found[0].text.startswith("01 Jan 2026")
    assert {one.text for one in found[::2]} == {found[0].text}
    start, stop = found[0].answers[0]
    assert found[0].text[start:stop] == "yes"
    assert found[1].refused == "list object has no element 1"


def test_no_template_takes_loaded_models_with_it(tmp_path: Path) -> None:
    templates = {"good": CHATML, "raising": RAISING, "endless": ENDLESS}
    models = [
        ModelReference(label, model_with(tmp_path / label, template))
        for label, template in templates.items()
    ]
    with InferenceWorker() as worker:
        worker.load(models)
        pid = worker.state().pid
        with pytest.raises(UserError, match=r"^raising: .*: System role not supported"):
            worker.result(Complete(labels=("raising",), prompts=(CHAT,)))
        pending = worker.begin(Complete(labels=("endless",), prompts=(CHAT,)))
        answers: list[dict[str, object]] = []
        reader = threading.Thread(target=lambda: answers.extend(pending.answers()))
        reader.start()
        # A template that the user gives up is ended, whether it has begun or not.
        pending.cancel()
        reader.join(child_limits.QUICK_SECONDS)
        assert answers[-1]["result"] == {"cancelled": True}
        ask = Complete(labels=("good",), prompts=(CHAT,), sampling=Sampling(max_tokens=2))
        assert worker.result(ask)["texts"]
        assert set(worker.state().labels) == set(templates)
        assert worker.state().pid == pid and worker.result(Status())["models"]
