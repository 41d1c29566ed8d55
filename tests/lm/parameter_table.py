"""docs/parameters.md, from the networks: `python -m tests.lm.parameter_table` writes it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import mlx_lm

from cptstudio.lm.parameter_kinds import Kind, parameter_kinds
from cptstudio.lm.parameters import named_parameters
from tests.lm import networks

PAGE = Path(__file__).parent.parent.parent / "docs" / "parameters.md"

_INTRODUCTION = """# What is frozen, decayed and given to Muon

One rule decides for every parameter of every architecture, by what the parameter is
(`src/cptstudio/lm/parameter_kinds.py`, which also says why).

| Kind | Trained in full | Weight decay | Muon, where chosen |
|---|---|---|---|
| matrix, stack of matrices | yes | yes | yes, each matrix of a stack on its own |
| embedding, output head | yes | no | no: AdamW |
| vector | yes | no | no: AdamW |
| constant | no | no | no |

A vector scales, shifts or times single channels, whatever its number of axes. Adapters' factors are
matrices, dora's magnitudes vectors. Only the token embedding and the output head are trained beside
adapters, and only they may have a learning rate of their own. A run keeps the rule that it was
prepared with (`parameter_rule` in its config.json): in runs of before, the number of axes decides.

## The networks of mlx-lm {version}

Small networks of {count} architectures, by what their modules are. Layers' numbers are left out.
`matrices` and `stacks` count different names; norms and biases of one axis are not listed.
This page is written by `python -m tests.lm.parameter_table`, and a test compares it.

| Architecture | Matrices | Stacks | Embeddings and head | Constants | Other vectors |
|---|---|---|---|---|---|
"""
_PLAIN = re.compile(r"norm\w*\.(weight|bias)$|layernorm|ln_|\.bias$")


def page() -> str:
    """The text of docs/parameters.md."""
    rows = [_row(name) for name in networks.names() if name not in networks.NOT_BUILT]
    text = _INTRODUCTION.format(version=mlx_lm.__version__, count=len(rows))
    left_out = [f"- `{name}` {reason}." for name, reason in networks.NOT_BUILT.items()]
    return text + "\n".join([*rows, "", "Not built here:", "", *left_out]) + "\n"


def _row(architecture: str) -> str:
    model = networks.build(architecture)
    values = named_parameters(model)
    found: dict[str, set[str]] = defaultdict(set)
    for name, kind in parameter_kinds(model).items():
        found[_column(name, kind, values[name].ndim)].add(_short(name))
    counts = [str(len(found[kind])) if found[kind] else "" for kind in ("matrix", "stack")]
    lists = [
        ", ".join(f"`{name}`" for name in sorted(found[kind]))
        for kind in ("embedding", "constant", "vector")
    ]
    return f"| {architecture} | {' | '.join([*counts, *lists])} |".replace("  ", " ")


def _column(name: str, kind: Kind, axes: int) -> str:
    if kind == "matrix" and axes > 2:
        return "stack"
    if kind == "vector" and axes < 2 and _PLAIN.search(name):
        return "plain"
    return kind


def _short(name: str) -> str:
    """The last parts of a name, without what is the same in all."""
    parts = [part for part in name.split(".") if not part.isdigit()]
    return ".".join(parts[-2:])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
