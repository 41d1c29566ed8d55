"""Which tokens end an answer; the parts of an answer, held to tests/answer_parts.json."""

from __future__ import annotations

import json
import os
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cptstudio.job_programs import Answer
from cptstudio.lm import chat_reader
from cptstudio.lm.chat_format import ChatFormat, format_from, parts_of, said_again, sentence_of

CASES = json.loads((Path(__file__).parents[1] / "answer_parts.json").read_text(encoding="utf-8"))

TURN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
END = "{% endfor %}{% if add_generation_prompt %}<|assistant|>"
LAST = "{% endif %}"


def test_the_parts_of_an_answer() -> None:
    for case in CASES:
        opens = case.get("opens", "")
        parts = [[one.kind, one.text, one.open] for one in parts_of(case["answer"], opens)]
        assert parts == case["parts"], case
        again = {"role": "assistant", **case["again"]}
        assert said_again(case["answer"], opens) == again, case


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "base"
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, folder)
    return folder


def told(folder: Path) -> ChatFormat:
    """What the program answers, in this process."""
    read, write = os.pipe()
    try:
        found = chat_reader.work({"model": str(folder)}, Answer(write))
    finally:
        os.close(read)
        os.close(write)
    return format_from(json.loads(json.dumps(found["format"])))


@pytest.mark.slow
def test_which_tokens_end_an_answer(demo: Path) -> None:
    template = demo / "chat_template.jinja"
    generation: Any = demo / "generation_config.json"
    assert told(demo).ends[0].named_by == ("config.json", "tokenizer")
    assert told(demo).warning is None and not told(demo).has_template

    template.write_text(TURN + "{{ eos_token }}\n" + END + "<think>\n" + LAST)
    found = told(demo)
    assert sentence_of(found) == "<|endoftext|> (chat template, config.json, tokenizer)"
    assert (found.turn_end, found.opens_thinking, found.warning) == (
        "<|endoftext|>",
        "<think>",
        None,
    )
    # generation_config.json wins over config.json, and may name several.
    generation.write_text('{"eos_token_id": [5, 6, true, "7", -1]}')
    found = told(demo)
    assert [end.id for end in found.ends[1:]] == [5, 6]
    assert found.ends[0].named_by == ("chat template", "tokenizer")
    generation.unlink()

    template.write_text(TURN + "\n" + END + LAST)
    found = told(demo)
    assert found.turn_end is None and "marks the end of an answer with no token" in str(
        found.warning
    )
    template.write_text("{{ raise_exception('Only JSON.' ~ '!' * 999) }}")
    problem = str(told(demo).problem)
    assert problem.startswith("The chat template cannot be applied: Only JSON.!!!")
    assert len(problem) == 300 and told(demo).end_ids == {0}
    template.write_text("{{ messages[0].content }}")
    assert told(demo).problem == "The chat template leaves out the model's own answers."


@pytest.mark.slow
def test_an_end_that_only_the_template_names(demo: Path) -> None:
    """As Llama 3's <|eot_id|>, where EOS is <|end_of_text|>."""
    tokenizer = json.loads((demo / "tokenizer.json").read_text(encoding="utf-8"))
    last = max(one["id"] for one in tokenizer["added_tokens"])
    size = len(tokenizer["model"]["vocab"])
    own = {**tokenizer["added_tokens"][0], "id": max(last + 1, size), "content": "<|eot|>"}
    tokenizer["added_tokens"].append(own)
    (demo / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (demo / "chat_template.jinja").write_text(TURN + "<|eot|>" + END + LAST)
    found = told(demo)
    assert [end.text for end in found.ends] == ["<|eot|>", "<|endoftext|>"]
    assert found.ends[0].named_by == ("chat template",)
    assert "other programs may not stop there" in str(found.warning)
