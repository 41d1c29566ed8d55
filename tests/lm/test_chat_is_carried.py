"""What a chat needs goes along with each way of saving: mlx_lm and transformers chat with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mlx.core as mx
import mlx_lm
import pytest
from mlx_lm.generate import stream_generate
from transformers import AutoModelForCausalLM, AutoTokenizer

from cptstudio.job_programs import Answer
from cptstudio.lm import chat_reader
from cptstudio.lm.chat_format import ChatFormat, format_from
from cptstudio.lm.fusing import fuse
from cptstudio.lm.loading import load_for_inference
from cptstudio.lm.packing import pack
from cptstudio.lm.packings import Packing
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import save_model_folder
from tests.chat_models import CHATML
from tests.lm.small_runs import prepare, train
from tests.saved_weights import save_weights
from tests.toy_models import VOCABULARY_SIZE, import_torch, make_toy_model

pytestmark = pytest.mark.slow

END, ENDS_AT = "<|eot|>", VOCABULARY_SIZE
QUESTION = [{"role": "user", "content": "import"}]
ANSWER = [{"role": "assistant", "content": "os"}]
TOOLS = "{% for m in messages %}tools: {{ m.content }}{% endfor %}"


def chat_base(folder: Path) -> Path:
    """A toy whose answers end at a token that config.json does not name, as Llama 3's do."""
    make_toy_model("llama", folder, vocab_size=VOCABULARY_SIZE + 8)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"].append(
        {**tokenizer["added_tokens"][0], "id": ENDS_AT, "content": END}
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    template = CHATML.replace("{{ eos_token }}", END)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_text(TOOLS, encoding="utf-8")
    generation = {"eos_token_id": [0, ENDS_AT]}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    return folder


def conversation(folder: Path) -> mx.array:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template([*QUESTION, *ANSWER], tokenize=False)
    return mx.array([tokenizer.encode(text, add_special_tokens=False)] * 2)


def told(folder: Path) -> ChatFormat:
    with open(os.devnull, "wb") as nowhere:
        found = chat_reader.work({"model": str(folder)}, Answer(nowhere.fileno()))
    return format_from(found["format"])


def chats(folder: Path, adapter: Path | None = None) -> tuple[str, str | None]:
    """What mlx_lm answers, and why it ends."""
    model, tokenizer = mlx_lm.load(  # type: ignore[misc]
        str(folder), adapter_path=str(adapter) if adapter else None
    )
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True)
    made = list(stream_generate(model, tokenizer, prompt, max_tokens=12))
    return "".join(one.text for one in made), made[-1].finish_reason


def test_each_way_of_saving_carries_the_chat(tmp_path: Path) -> None:
    base = chat_base(tmp_path / "base")
    batch = conversation(base)
    ways = {name: tmp_path / name for name in ("full", "adapter", "embeddings", "merged")}
    for folder in ways.values():
        folder.mkdir()
    loaded, applied = prepare(base, kind="full")
    train(loaded.model, batch, steps=40)
    save_weights(ways["full"], loaded, applied)
    full = ways["full"]
    for name in ("adapter", "embeddings"):
        loaded, applied = prepare(full, kind="lora", train_embeddings=name == "embeddings")
        train(loaded.model, batch, steps=3)
        save_weights(ways[name], loaded, applied)
    whole = load_for_inference(full)
    save_model_folder(ways["merged"], whole, named_parameters(whole.model))
    fused = fuse(full, ways["adapter"])
    ways |= {"fused": tmp_path / "fused", "packed": tmp_path / "packed"}
    ways["fused"].mkdir()
    fused.collected().write(ways["fused"])
    ways["packed"].mkdir()
    packed = pack(fuse(full, None), Packing(bits=8, group_size=32))
    packed.collected.write(ways["packed"])

    expected = told(base)
    assert expected.ends[0].text == END
    assert expected.ends[0].named_by == ("chat template", "generation_config.json")
    torch = import_torch()
    assert chats(full, ways.pop("adapter")) == ("os", "stop")
    for name, folder in ways.items():
        assert told(folder) == expected, name
        assert chats(folder) == ("os", "stop"), name
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert tokenizer.chat_template == AutoTokenizer.from_pretrained(base).chat_template
        assert tokenizer.chat_template["tool_use"] == TOOLS
        if name == "packed":
            continue  # Only MLX reads packed weights.
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, tokenize=False)
        ids = tokenizer.encode(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            made = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(made) == f"os{END}", name
