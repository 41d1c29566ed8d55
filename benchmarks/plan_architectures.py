"""Planned memory against measured, for architectures of every make.

    python -m benchmarks.plan_architectures            # 30 architectures at two lengths, full
    python -m benchmarks.plan_architectures --page     # and the table into docs/planning.md
    python -m benchmarks.plan_architectures mamba2     # these alone
    python -m benchmarks.plan_architectures --method lora --json FILE

Small networks with random weights, as transformers saves them, are planned and then trained for
some real steps, each in a process of its own. Measured is the peak of MLX's arrays. Recurrent
networks are measured at shorter lengths: mlx-lm computes them token by token on a CPU. It fails
where a plan is not within 0.9 and 1.3 of the peak, or cannot be made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.peers.markdown import replace_part, table
from benchmarks.peers.processes import apart
from benchmarks.plan_memory import CORPUS, Configuration, Result, measure

ARCHITECTURES = (
    "apertus", "cohere2", "deepseek_v2", "deepseek_v3", "exaone4", "falcon_h1", "gemma2", "gemma3",
    "gemma3n", "glm4_moe", "gpt2", "gpt_oss", "granitemoe", "granitemoehybrid", "helium", "jamba",
    "lfm2", "llama", "mamba", "mamba2", "minicpm3", "mixtral", "nemotron", "nemotron_h", "olmo2",
    "phi3", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next", "recurrent_gemma", "stablelm",
)  # fmt: skip
LENGTHS = (256, 512)
LOWEST, HIGHEST = 0.9, 1.3
PAGE = Path(__file__).parents[1] / "docs" / "planning.md"
TOKEN_BY_TOKEN = {"mamba": (48, 96), "jamba": (64, 128)}


def make_workspace(root: Path, names: list[str]) -> None:
    """Make a corpus, and a model of each architecture."""
    import sysconfig

    from cptstudio.corpus.build import build_corpus
    from cptstudio.workspace import Workspace
    from tests.shared_architectures import save_shared_architecture

    workspace = Workspace(root)
    workspace.make(workspace.corpora)
    for name in names:
        save_shared_architecture(name, workspace.base_model(name))
    library = Path(sysconfig.get_path("stdlib"))
    sources = [library / f"{name}.py" for name in ("argparse", "ast", "inspect", "typing")]
    build_corpus(workspace.corpus(CORPUS), sources, model_path=workspace.base_model(names[0]))


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="ARCHITECTURE")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--page", action="store_true", help="put the table into docs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    names = arguments.names or list(ARCHITECTURES)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root, names)
        for name in names:
            for length in TOKEN_BY_TOKEN.get(name, LENGTHS):
                one = Configuration(name, arguments.method, 2, length)
                try:
                    results.append(apart(measure, root, one))
                except Exception as error:
                    print(f"{one}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                    continue
                print(f"{results[-1].name}: {results[-1].ratio:.2f}", flush=True)
    head = ["architecture, method, rows x context", "planned, MB", "measured, MB", "ratio"]
    rows = [
        [one.name, f"{one.planned['total'] / 1e6:.1f}", f"{one.peak / 1e6:.1f}", f"{one.ratio:.2f}"]
        for one in results
    ]
    ratios = [one.ratio for one in results]
    text = f"{table(head, rows)}\n\n{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"\n{text}")
    if arguments.page:
        replace_part(PAGE, "plan_architectures", text)
    if arguments.json:
        found = [{"name": one.name, "planned": one.planned, "peak": one.peak} for one in results]
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    whole = len(results) == sum(len(TOKEN_BY_TOKEN.get(name, LENGTHS)) for name in names)
    return 0 if whole and min(ratios) >= LOWEST and max(ratios) <= HIGHEST else 1


if __name__ == "__main__":
    sys.exit(main())
