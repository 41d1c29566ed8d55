"""Chat habits lost by continued pre-training and brought back: `python -m benchmarks.chat_again`.

Makes a base of an instruct model by long training on plain text, goes on with it on R's manuals,
and measures chat habits and bits per byte before, after, and with the instruct model's difference
(instruct - base) added at several strengths. See docs/science.md. What is done is kept in the
folder that --work names, so an interrupted benchmark, or one with more seeds, goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.chat_again import material, plan, report
from benchmarks.peers import machine
from benchmarks.peers.markdown import replace_part
from benchmarks.science import running
from cptstudio import child_process
from cptstudio.child_answers import Line
from cptstudio.child_limits import for_models
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.evaluation.chat_again import ChatMeasured, again_request
from cptstudio.evaluation.merging import instruct_delta
from cptstudio.evaluation.programs import CHAT
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.reports import Reports
from cptstudio.workspace import Workspace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "science.md"
PART = "chat again"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chat_again", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="folder of the instruct model, such as SmolLM2's"
    )
    parser.add_argument(
        "--manuals", type=Path, default=material.MANUALS, help="folder of R's HTML manuals"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder where all is kept")
    parser.add_argument("--seeds", type=int, default=3, help="of the CPT (default: 3)")
    parser.add_argument(
        "--without-tuning", action="store_true", help="leave out fine-tuning on conversations"
    )
    parser.add_argument("--quick", action="store_true", help="prove that it works: tiny numbers")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    return parser.parse_args(arguments)


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Do everything that is not done yet; returns what was found by seed, and the facts."""
    scale = plan.QUICK if given.quick else plan.FULL
    workspace = Workspace(given.work / "quick" if given.quick else given.work)
    instruct = material.place_model(workspace, given.model)
    _say("corpora of R's manuals and Python's documentation")
    material.make_corpora(workspace, instruct, given.manuals, scale.documents)
    base = _train(workspace, "base", 0, plan.base_settings(scale, instruct))
    found = []
    for seed in range(given.seeds):
        settings = plan.cpt_settings(scale, base.model, seed)
        trained = _train(workspace, "cpt", seed, settings)
        tuned = None
        if not given.without_tuning:
            answers = material.make_conversations(workspace, instruct, scale.max_tokens // 2)
            chat = plan.chat_settings(scale, trained.model, answers, seed)
            tuned = _train(workspace, "chat", seed, chat)
        _say(f"seed {seed}: measuring")
        found.append(_measured(workspace, scale, trained, tuned, base, instruct))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "scale": vars(scale),
        "seeds": found,
    }


def _train(workspace: Workspace, name: str, seed: int, settings: Any) -> ModelReference:
    began = time.monotonic()
    trained = running.train(workspace, plan.run_name(name, seed, settings), settings)
    _say(f"{name}, seed {seed}: {duration(time.monotonic() - began)}")
    return trained


def _measured(
    workspace: Workspace,
    scale: plan.Scale,
    trained: ModelReference,
    tuned: ModelReference | None,
    base: ModelReference,
    instruct: Path,
) -> list[dict[str, Any]]:
    names = (material.DOMAIN, material.GENERAL)
    request = again_request(
        trained,
        ModelReference(material.INSTRUCT, instruct),
        [] if tuned is None else [tuned],
        plan.STRENGTHS,
        measured=ChatMeasured(
            side="test", max_bytes=scale.scored_bytes, max_tokens=scale.max_tokens
        ),
        corpora=[{"name": name, "path": workspace.corpus(name)} for name in names],
        save=None,
        base=base,
    )
    if tuned is not None:
        both = instruct_delta(tuned, base.model, instruct, [plan.STRENGTH_OF_BOTH])
        request["points"] += [
            {**one.request(), "way": "both", "tokenizer": None, "answers": True} for one in both
        ]
    phase = ""

    def tell(line: Line) -> None:
        nonlocal phase
        if line.phase and line.phase != phase:
            phase = line.phase
            _say(f"  {phase}")

    answer = child_process.ask(
        ("-m", CHAT),
        {"workspace": workspace.root, "fast_blas": True, **request},
        for_models(),
        what="The program",
        shows="errors",
        progress=tell,
    )
    result = Reports(workspace).read(answer["report"])["result"]
    for point in result["points"]:
        if point["habits"] is not None:
            point["habits"].pop("answers")
    points: list[dict[str, Any]] = result["points"]
    return points


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns its exit status."""
    given = parse(arguments)
    try:
        found = run(given)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    text = report.page_part(found)
    print("\n" + text)
    (given.work / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.page:
        replace_part(PAGE, PART, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
