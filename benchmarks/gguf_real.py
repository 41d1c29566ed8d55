"""A real model and one of width 512, trained, exported, and loaded by llama.cpp.

    python -m benchmarks.gguf_real WORKSPACE [--model FOLDER --texts FOLDER --converter FOLDER \
        --tokenizers FOLDER] [--page]

MODEL is a real model, such as SmolLM2-135M: it is trained by lora and by full on TEXTS and exported
as F32 and Q8_0. Its width is no multiple of 256, so K-quants are measured on a network of width 512
with Llama 2's tokenizer, which is trained from random weights on the same texts. What is there in
WORKSPACE is not made again. CONVERTER and TOKENIZERS: see `benchmarks.gguf_architectures`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.markdown import replace_part, table
from cptstudio.export_files import read_export
from cptstudio.exports.comparison import signed
from cptstudio.exports.records import proof_of
from cptstudio.workspace import Workspace

PAGE = Path(__file__).parents[1] / "docs" / "gguf.md"
REAL = {f"smol-{method}": ("F32", "Q8_0") for method in ("lora", "full")}
WIDE = ("F32", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
STEPS = {"lora": "16 steps", "full": "16 steps"}
LONG = "60 steps"
ASKED = {
    "smol": ("--prompts", "20", "--prompt-tokens", "64", "--max-tokens", "640"),
    "wide": ("--prompts", "8", "--prompt-tokens", "48", "--max-tokens", "1024"),
}


def studio(root: Path, *arguments: str) -> None:
    """Run a command of the command line."""
    command = [sys.executable, "-m", "cptstudio.cli", *arguments, "-w", str(root)]
    print(" ".join(command[2:]), flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}")


def make(given: argparse.Namespace) -> None:
    """Make what is not there yet."""
    place = Workspace(given.workspace)
    root = given.workspace
    place.make(place.private, mode=0o700)
    place.make(place.base_models)
    for source, target in (
        (given.converter, place.private / "converter"),
        (given.model, place.base_models / "smollm2"),
    ):
        if source is not None and not target.exists():
            target.symlink_to(source.resolve())
    if not place.base_model("wide512").exists():
        _make_wide(place.base_model("wide512"), given.tokenizers)
    if "docs" not in place.corpus_names():
        studio(root, "corpus", "build", "docs", str(given.texts), "-m", "smollm2")
    for method, length in STEPS.items():
        _train(place, "smollm2", f"smol-{method}", method, length)
    studio(root, "corpus", "build", "docs", "-m", "wide512")
    _train(place, "wide512", "wide", "full", LONG, "--learning-rate", "1e-3")
    for run, kinds in (*REAL.items(), ("wide", WIDE)):
        for kind in kinds:
            if f"{run}-{kind}" not in place.export_names():
                asked = ASKED[run.partition("-")[0]]
                studio(root, "export", "gguf", run, "-n", f"{run}-{kind}", "-t", kind, *asked)
    if "wide-4bit" not in place.export_names():
        studio(root, "export", "quantize", "wide", "-n", "wide-4bit", *ASKED["wide"])


def _train(place: Workspace, model: str, name: str, method: str, length: str, *more: str) -> None:
    if name in place.run_names():
        return
    what = ("-m", model, "-c", "docs", "--name", name, "--method", method, "--length", length)
    sizes = ("--sequence-length", "128", "--batch-size", "4" if name == "wide" else "2")
    # Saved once: a network of 135M parameters takes a busy machine half a minute.
    seldom = ("--evaluation.max-tokens", "2000", "--save-every", length)
    studio(place.root, "train", *what, *sizes, *seldom, *more)


def _make_wide(folder: Path, tokenizers: Path) -> None:
    from tests.toy_models import make_toy_model

    make_toy_model(
        "llama", folder, vocab_size=32_000, bos_token_id=1, eos_token_id=2, hidden_size=512,
        intermediate_size=1536, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4,
        head_dim=64, max_position_embeddings=1024,
    )  # fmt: skip
    for file in (tokenizers / "llama2" / "models").glob("*.json"):
        shutil.copy(file, folder)


def page(place: Workspace) -> str:
    """Return the table of all exports that are there."""
    names = [f"{run}-{kind}" for run, kinds in (*REAL.items(), ("wide", WIDE)) for kind in kinds]
    lines = []
    for name in (*names, "wide-4bit"):
        if name not in place.export_names():
            continue
        record = read_export(place.export(name))
        proof = proof_of(record)
        if proof is None:
            continue
        found = proof.comparison
        apart = max((one.margin for one in found.divergences), default=0.0)
        lines.append(
            [
                f"`{record.source.reference}`",
                record.weights,
                f"{found.bits_per_weight:.2f}" if found.bits_per_weight else "",
                f"{found.bytes / 1e6:,.1f}",
                f"{found.equal_prompts} of {found.prompts} x {found.prompt_tokens}",
                f"{apart:.1e}" if found.divergences else "",
                f"{found.mean_difference:.1e}",
                f"{found.max_difference:.1e}",
                signed(found.cost),
                f"{proof.gain.bits_per_byte:.4f}" if proof.gain.bits_per_byte is not None else "",
            ]
        )
    titles = [
        "Checkpoint", "Type", "Bits/weight", "MB", "Greedy texts equal", "Margin where not",
        "Mean difference, nats", "Largest", "Bits per byte lost", "Gained by training",
    ]  # fmt: skip
    return f"{_told(place)}\n\n{table(titles, lines, texts=2)}"


def _told(place: Workspace) -> str:
    runs = [run for run in REAL if any(name.startswith(run) for name in place.export_names())]
    real = (
        f"`smol-lora` and `smol-full` are SmolLM2-135M-Instruct, trained for {STEPS['lora']} on "
        "Bash's manuals. "
        if runs
        else ""
    )
    told = (
        f"{real}`wide` is a network of width 512 with Llama 2's tokenizer, trained for {LONG} on "
        "the same texts from random weights. Compared on held-out text, with llama.cpp on the CPU; "
        "the 4-bit folder with mlx_lm. The greedy texts are of the checkpoint in float32."
    )
    return textwrap.fill(told, 114)


def main(arguments: Sequence[str]) -> int:
    """Make, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    for name in ("model", "texts", "converter", "tokenizers"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--only-page", action="store_true", help="of what is there")
    given = parser.parse_args(arguments)
    if not given.only_page:
        make(given)
    told = page(Workspace(given.workspace))
    print(told)
    if given.page or given.only_page:
        replace_part(PAGE, "gguf_real", told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
