"""Plans of published models on seven Macs: counts against transformers, memory by machine and way.

    python -m benchmarks.plan_real_sizes                # all models, some minutes
    python -m benchmarks.plan_real_sizes --only Qwen3   # those whose name holds this
    python -m benchmarks.plan_real_sizes --page         # writes the tables of docs/planning.md, too
    python -m benchmarks.plan_real_sizes --keep FOLDER  # goes on where it was interrupted

Makes folders of published configurations with the true names, types and shapes of all tensors and
no weights in them (`benchmarks/real_sizes`), once as published and once packed with 4 bits, and
plans runs on them as `cpt-studio plan --machine` does. It fails where the number of parameters
differs from transformers' on its meta device, or from the number that somebody else published, and
where a default neither fits with a tenth of the memory to spare nor names the machine it fits on.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.markdown import replace_part, table
from benchmarks.real_sizes.folders import (
    Published,
    build_on_meta,
    packed_shapes,
    published_models,
    published_shapes,
    write_folder,
)

if TYPE_CHECKING:
    from cptstudio.training.planning import Plan

PAGE = Path(__file__).parent.parent / "docs" / "planning.md"
MACHINES = tuple(f"{size} GB" for size in (8, 16, 24, 36, 64, 128, 512))
QLORA = "qlora"
WAYS = ("full", "lora", "dora", QLORA)
"""The last is lora on the model with 4 bits."""
NAMED = ("The smallest machine it fits on", "No known machine has enough memory")
"""What is said where a run does not fit."""
_PACKED = "-4bit"
_USUAL = 2048
"""Tokens per sequence where memory is plentiful."""


@dataclass
class Result:
    """What was found out about one model.

    Attributes:
        parameters: of the network, by the plan.
        constants: those among them that transformers keeps as buffers.
        transformers: parameters that transformers counts in the language model.
        problems: what disagrees, or why there is no plan.
        needed: bytes of memory by machine and way; None where it does not fit.
        chosen: by machine, a run with nothing set in words, or the machine that it asks for.
    """

    model: Published
    parameters: int = 0
    constants: int = 0
    transformers: int = 0
    seconds: float = 0.0
    stored: int = 0
    packed: int = 0
    left_out: int = 0
    trained: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    needed: dict[tuple[str, str], int | None] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    refused: str | None = None


# --- folders --------------------------------------------------------------------------------------


def make_workspace(root: Path) -> Path:
    """A workspace, and a folder with the demo model's tokenizer, which all models get."""
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    workspace.make(workspace.corpora)
    workspace.make(workspace.base_models)
    tokenizer = root / "tokenizer"
    demo = Path(str(files("cptstudio") / "data" / "demo-base"))
    ignored = shutil.ignore_patterns("*.safetensors", "config.json")
    shutil.copytree(demo, tokenizer, ignore=ignored)
    return tokenizer


def corpus_for(root: Path, model: str) -> str:
    """A corpus in a model's tokens: transformers reads one tokenizer in several ways, by model."""
    from cptstudio.corpus.build import build_corpus
    from cptstudio.corpus.tokenizer_identity import identify_tokenizer
    from cptstudio.workspace import Workspace

    workspace = Workspace(root)
    folder = workspace.base_model(model)
    name = f"text-{identify_tokenizer(folder)[:8]}"
    if name not in workspace.corpus_names():
        source = Path(os.__file__).with_name("argparse.py")
        build_corpus(workspace.corpus(name), [source], model_path=folder)
    return name


@contextmanager
def folder_of(root: Path, name: str, tokenizer: Path) -> Iterator[Path]:
    """An empty folder of a base model with the tokenizer, gone afterwards."""
    folder = root / "models" / "base" / name
    shutil.copytree(tokenizer, folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# --- one model ------------------------------------------------------------------------------------


def measure(root: Path, tokenizer: Path, model: Published) -> Result:
    """Make a model's folders, count and plan."""
    from cptstudio.errors import UserError
    from cptstudio.lm.network_reader import read_network
    from cptstudio.settings import MethodSettings

    result = Result(model)
    with folder_of(root, model.name, tokenizer) as folder:
        network, result.transformers = build_on_meta(model.config, folder)
        published = published_shapes(model.config, network)
        write_folder(folder, model.config, published)
        began = time.monotonic()
        try:
            facts = read_network(folder)
        except UserError as error:
            result.refused = str(error).replace(f"{folder}/", "").replace(str(folder), model.name)
            return result
        result.seconds = time.monotonic() - began
        result.parameters = facts.parameters
        result.constants = facts.kinds.get("constant", 0)
        result.stored = facts.storage.bytes()
        result.left_out = sum(facts.left_out.values())
        for way in WAYS[:3]:
            method = MethodSettings.model_validate({"kind": way})
            result.trained[way] = facts.trained(method).total
        whole = sum(math.prod(shape) for _, shape in published.values())
        result.problems += _disagreements(result, whole if facts.left_out else facts.parameters)
        _plan_ways(root, model.name, WAYS[:3], result)
        shapes, config = None, None
        if not facts.storage.packed:
            shapes, config = packed_shapes(folder, 4)
    if shapes is None or config is None:
        # It is packed as published, so lora on it is what qlora is.
        for machine in MACHINES:
            result.needed[machine, QLORA] = result.needed[machine, "lora"]
        result.packed = result.stored
        return result
    with folder_of(root, model.name + _PACKED, tokenizer) as folder:
        write_folder(folder, config, shapes)
        facts = read_network(folder)
        result.packed = facts.storage.bytes()
        if facts.parameters != result.parameters:
            result.problems.append(f"packed: {facts.parameters:,} parameters")
        _plan_ways(root, model.name + _PACKED, (QLORA,), result)
    return result


def measure_packed(root: Path, tokenizer: Path, model: Published, like: Result) -> Result:
    """Plan the folder of a model that is published with 8 bits.

    Args:
        like: the same model's without packing.
    """
    from cptstudio.lm.network_reader import read_network
    from cptstudio.settings import MethodSettings

    bits = model.bits or 8
    name = f"{model.name}-{bits}bit"
    result = replace(
        Result(replace(model, name=name, kind=f"{bits}-bit as published")),
        parameters=like.parameters,
        packed=like.packed,
    )
    with folder_of(root, name, tokenizer) as folder:
        network, _ = build_on_meta(model.config, folder)
        write_folder(folder, model.config, published_shapes(model.config, network))
        shapes, config = packed_shapes(folder, bits)
        shutil.rmtree(folder)
        shutil.copytree(tokenizer, folder)
        write_folder(folder, config, shapes)
        facts = read_network(folder)
        if facts.parameters != like.parameters:
            result.problems.append(f"{facts.parameters:,} parameters")
        result.stored = facts.storage.bytes()
        for way in WAYS[1:3]:
            method = MethodSettings.model_validate({"kind": way})
            result.trained[way] = facts.trained(method).total
        _plan_ways(root, name, WAYS[1:], result)
    return result


def _disagreements(result: Result, whole: int) -> Iterator[str]:
    """What transformers, or who published a number, counts otherwise.

    Args:
        whole: all parameters, those that mlx-lm does not load included.
    """
    found, said = result.parameters, result.model.published
    # What training leaves alone transformers keeps as buffers, which it does not count.
    if found - result.transformers not in (0, result.constants):
        yield f"{found:,} parameters, transformers has {result.transformers:,}"
    if said is not None and whole != said:
        yield f"{whole:,} parameters in the files, {said:,} were published"


def _plan_ways(root: Path, name: str, ways: tuple[str, ...], result: Result) -> None:
    from cptstudio.errors import UserError
    from cptstudio.settings import parse_settings
    from cptstudio.training.known_machines import machine_named
    from cptstudio.training.planning import make_plan
    from cptstudio.workspace import Workspace

    workspace, corpus = Workspace(root), corpus_for(root, name)
    for text in MACHINES:
        machine = machine_named(text)
        for way in (*ways, None):
            tree: dict[str, Any] = {
                "model": {"path": name},
                "data": {"corpora": [{"name": corpus}]},
            }
            if way is not None:
                tree["method"] = {"kind": way}
            label = f"{way or 'nothing set'} on {text}"
            plan, said = None, ""
            try:
                plan = make_plan(workspace, parse_settings(tree), machine)
                said = " ".join(one.sentence for one in plan.warnings)
            except UserError as error:
                said = str(error)
                if way == "full" and {found.field for found in error.findings} == {"method.kind"}:
                    result.needed[text, way] = None
                    continue
            fits = plan is not None and plan.memory.total <= machine.room
            if not fits and not any(words in said for words in NAMED):
                result.problems.append(f"{label}: {said}")
            if plan is not None and _update_of(plan) != 4 * min(
                plan.model.context_limit or _USUAL, _USUAL
            ):
                result.problems.append(f"{label}: an update of {_update_of(plan):,} tokens")
            if way is not None:
                result.needed[text, way] = plan.memory.total if plan and fits else None
            elif QLORA not in ways or len(ways) > 1:
                result.chosen[text] = _in_words(plan) if plan else _machine_in(said)


def _update_of(plan: Plan) -> int:
    rows, accumulation = plan.settings.batch.cut
    return rows * accumulation * (plan.settings.data.sequence_length or 0)


def _in_words(plan: Plan) -> str:
    rows, accumulation = plan.settings.batch.cut
    marks = "c" if plan.settings.compute.gradient_checkpointing else ""
    cut = f"{rows}x{accumulation}{marks} {plan.settings.data.sequence_length}"
    return f"{plan.settings.method.kind} {cut}: {_gigabytes(plan.memory.total)}"


def _machine_in(said: str) -> str:
    found = re.search(r"The smallest machine it fits on: (?:Mac )?([^.]*)\.", said)
    return f"→ {found[1]}" if found else "→ none"


# --- tables ---------------------------------------------------------------------------------------


def counts_table(results: list[Result]) -> str:
    """What is counted in each model."""
    from cptstudio.settings import MethodSettings

    head = ["Model", "Kind", "Parameters", "Published by others", "GB", "4-bit GB", "not loaded GB"]
    rank = MethodSettings().adapter_rank
    head += [f"lora of rank {rank} trains", f"dora of rank {rank} trains"]
    rows = []
    for one in results:
        said = "" if one.model.published is None else "equal" if not one.problems else "differs"
        cells = [f"{one.parameters:,}", said, _gigabytes(one.stored), _gigabytes(one.packed)]
        cells += [_gigabytes(one.left_out) if one.left_out else ""]
        cells += [f"{one.trained[way]:,}" for way in ("lora", "dora")]
        rows.append([one.model.name, one.model.kind, *cells])
    return table(head, rows, texts=2)


def ways_table(results: list[Result]) -> str:
    """The smallest of the machines that each way fits on, and what it needs there."""
    head = ["Model", *WAYS]
    rows = [[one.model.name, *(_smallest(one, way) for way in WAYS)] for one in results]
    return table(head, rows)


def defaults_table(results: list[Result]) -> str:
    """What a run with nothing set is on each machine."""
    rows = [[one.model.name, *(one.chosen[machine] for machine in MACHINES)] for one in results]
    return table(["Model", *MACHINES], rows)


def _smallest(one: Result, way: str) -> str:
    for machine in MACHINES:
        needed = one.needed.get((machine, way))
        if needed is not None:
            return f"{machine} ({_gigabytes(needed)})"
    return "none"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f}"


def page(results: list[Result]) -> str:
    """The tables as docs/planning.md holds them."""
    planned = [one for one in results if one.refused is None]
    refused = [f"- {one.model.name}: {one.refused}" for one in results if one.refused]
    sources = [
        f"- {one.model.name}: {one.model.source}"
        + (f". Total: {one.model.published_source}" if one.model.published_source else "")
        for one in results
    ]
    parts = [
        f"{len(results)} models. Parameters are those that mlx-lm loads, tied ones once; they are "
        "as many as transformers has in the language model on its meta device (buffers, which it "
        "does not count, left aside). GB are 10^9 bytes of weights as published, and packed as "
        "mlx_lm.convert does.",
        counts_table(planned),
        "The smallest Mac on which a run with only its method set fits with a tenth to spare, "
        "and the GB that it needs there:",
        ways_table(planned),
        "A run with nothing set but model and corpus: method, rows x accumulation, c: gradient "
        "checkpointing, context, and GB; →: refused, the smallest Mac that it fits on.",
        defaults_table(planned),
    ]
    if refused:
        parts += ["Refused, with what is said:", "\n".join(refused)]
    parts += ["Where the configurations and totals were found:", "\n".join(sources)]
    return "\n\n".join(parts)


def _kept(folder: Path | None, model: Published) -> list[Result]:
    """What an interrupted run of this benchmark found of a model; its own files, so unpickled."""
    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.name}.pickle"
    return list(pickle.loads(file.read_bytes())) if file.is_file() else []


def main() -> int:
    """Measure, print tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="WORDS", help="models whose name holds this")
    parser.add_argument("--page", action="store_true", help="write docs/planning.md, too")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep what was found, by model")
    arguments = parser.parse_args()
    chosen = [one for one in published_models() if (arguments.only or "") in one.name]
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        tokenizer = make_workspace(root)
        for model in chosen:
            found = _kept(arguments.keep, model) or [measure(root, tokenizer, model)]
            if model.bits == 8 and len(found) == 1:
                found.append(measure_packed(root, tokenizer, model, found[0]))
            if arguments.keep is not None:
                (arguments.keep / f"{model.name}.pickle").write_bytes(pickle.dumps(found))
            for one in found:
                said = one.refused or "; ".join(one.problems) or f"{one.parameters:,} parameters"
                print(f"{one.model.name}: {said} ({one.seconds:.1f} s)", flush=True)
            results += found
    text = page(results)
    print(f"\n{text}")
    if arguments.page and not arguments.only:
        replace_part(PAGE, "plan_real_sizes", text)
    return int(any(one.problems for one in results))


if __name__ == "__main__":
    sys.exit(main())
