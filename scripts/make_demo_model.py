"""Make the demo's base model: src/cptstudio/data/demo-base. For maintainers; takes a while.

A Qwen3 architecture of 3.2 million parameters with a byte-level BPE vocabulary of 4,096, trained
from random weights by this project's own training program, on the training side of the demo's
general corpus (documentation that every Python installation has) and on nothing else. The
tokenizer has seen the source code too, as the tokenizers of real base models have.

    python -m scripts.make_demo_model WORK_DIR [--epochs 12]

WORK_DIR becomes a workspace with the corpus and the run, so that an interrupted run can be
resumed there (`cpt-studio resume base`) and this command repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.models import qwen3
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cptstudio import demo, run_files
from cptstudio.corpus.build import build_corpus
from cptstudio.lm.parameters import named_parameters
from cptstudio.workspace import Workspace

PACKAGED = Path(__file__).parent.parent / "src" / "cptstudio" / "data" / demo.MODEL_NAME
RUN = "base"
VOCABULARY = 4096
CONTEXT = 512
END_OF_TEXT = "<|endoftext|>"
ARCHITECTURE: dict[str, Any] = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": VOCABULARY,
    "hidden_size": 192,
    "num_hidden_layers": 6,
    "intermediate_size": 512,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "attention_bias": False,
    "torch_dtype": "float32",
}


def make_tokenizer(folders: list[Path], target: Path) -> int:
    """Train a byte-level BPE tokenizer on all files; returns the id of its end-of-text token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for folder in folders for path in sorted(folder.iterdir())], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, model_max_length=CONTEXT
    )
    fast.save_pretrained(target)
    return int(fast.eos_token_id)


def make_random_model(target: Path, end_of_text: int) -> None:
    """Write a model folder with small normal weights (GPT-2's initialisation)."""
    mx.random.seed(0)
    config = {**ARCHITECTURE, "eos_token_id": end_of_text, "bos_token_id": None}
    model = qwen3.Model(qwen3.ModelArgs.from_dict(config))  # type: ignore[no-untyped-call]
    weights: dict[str, mx.array] = {}
    for name, value in named_parameters(model).items():
        if value.ndim == 2:
            scale = 0.02
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                scale /= (2 * ARCHITECTURE["num_hidden_layers"]) ** 0.5
            value = scale * mx.random.normal(value.shape)
        weights[name] = value
    mx.save_safetensors(str(target / "model.safetensors"), weights, metadata={"format": "mlx"})
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def package(checkpoint: Path) -> None:
    """Copy a checkpoint into the package, with bfloat16 weights."""
    shutil.rmtree(PACKAGED, ignore_errors=True)
    PACKAGED.mkdir(parents=True)
    weights = mx.load(str(checkpoint / "model.safetensors"))
    assert isinstance(weights, dict)
    halved = {name: value.astype(mx.bfloat16) for name, value in weights.items()}
    mx.save_safetensors(str(PACKAGED / "model.safetensors"), halved, metadata={"format": "mlx"})
    config = json.loads((checkpoint / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    config["torch_dtype"] = "bfloat16"
    (PACKAGED / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, PACKAGED / name)


def main() -> None:
    """Make what is missing, train, and package the best checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--epochs", type=float, default=12)
    arguments = parser.parse_args()
    workspace = Workspace(arguments.work_dir)
    studio = [sys.executable, "-m", "cptstudio.cli"]
    place = ["--workspace", str(workspace.root)]
    random_model = workspace.base_model("random")
    if not (random_model / "config.json").exists():
        sources = demo.write_sources(workspace)
        workspace.make(random_model)
        end_of_text = make_tokenizer(list(sources.values()), random_model)
        make_random_model(random_model, end_of_text)
    general = workspace.root / "sources" / demo.GENERAL
    build_corpus(workspace.corpus(demo.GENERAL), [general], demo.build_settings(), random_model)
    run = workspace.run(RUN)
    if not run.exists():
        train = ["train", "--name", RUN, "--model", "random", "--corpus", demo.GENERAL]
        train += ["--method", "full", "--learning-rate", "3e-3", "--context-length", str(CONTEXT)]
        train += ["--rows", "8", "--length", f"{arguments.epochs} epochs", "--seed", "1"]
        subprocess.run([*studio, *train, *place], check=True)
    result = run_files.read_result(run)
    if result is None or result.outcome != "completed":
        sys.exit(f"The run in {run} is not completed; resume it, then repeat this command.")
    assert result.best_checkpoint is not None
    package(run / run_files.CHECKPOINTS / result.best_checkpoint)
    size = sum(path.stat().st_size for path in PACKAGED.iterdir())
    print(f"{PACKAGED}: {size:,} bytes, from {result.best_checkpoint}")


if __name__ == "__main__":
    main()
