"""Directions of continued pre-training, reproduced: `python -m benchmarks.science`.

Pre-trains a small model on general text, goes on with it on a domain in several ways, and tells
which of the known directions hold, over several seeds. See docs/science.md. What is done is kept
in the folder that --work names, so an interrupted benchmark is continued by the same command.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers import machine
from benchmarks.peers.markdown import replace_part
from benchmarks.science import material, plan, report, running
from benchmarks.science.directions import BASE, DIRECTIONS, Direction, Scores, merge_name
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference
from cptstudio.lm.description import describe_model
from cptstudio.settings import TrainingSettings
from cptstudio.workspace import Workspace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "science.md"
PART = "science"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.science", description=(__doc__ or "").splitlines()[0]
    )
    names = [direction.name for direction in DIRECTIONS]
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--quick", action="store_true", help="prove that it works: tiny numbers")
    parser.add_argument("--only", choices=names, help="one direction and the runs that it needs")
    parser.add_argument("--work", type=Path, default=running.default_work(), help="folder to use")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: 1)")
    parser.add_argument("--json", type=Path, help="write all results here (default: in --work)")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    return parser.parse_args(arguments)


class Bench:
    """Trains and scores what the chosen directions need.

    Args:
        work: folder of the workspace.
        scale: how large everything is.
        directions: what shall be shown.
        seeds: how many.
        jobs: trainers at a time.
    """

    def __init__(
        self,
        work: Path,
        scale: plan.Scale,
        directions: Sequence[Direction],
        seeds: int,
        jobs: int,
    ) -> None:
        self.workspace = Workspace(work)
        self.scale = scale
        self.seeds = seeds
        self.jobs = jobs
        wanted = {variant.name for one in directions for variant in one.variants}
        self.variants = [variant for variant in plan.VARIANTS if variant.name in wanted]
        self.merges = sorted({part for one in directions for part in one.merges})
        self._models: list[dict[str, ModelReference]] = [{} for _ in range(seeds)]
        self._runs: list[str] = []
        self._began = 0.0
        self._tokens_done = 0

    def run(self) -> list[dict[str, running.Score]]:
        """Do everything; returns the scores of each seed's models by name."""
        self._say("corpora from the running Python's documentation and source")
        self._random = [
            material.make_random_model(self.workspace.base_model(f"random-{seed}"), seed)
            for seed in range(self.seeds)
        ]
        corpora = material.make_corpora(self.workspace, self._random[0], self.scale.documents)
        self._domain = corpora[material.DOMAIN]
        self._train_all()
        return [self._score(seed) for seed in range(self.seeds)]

    @property
    def parameters(self) -> int:
        """Of the model."""
        return describe_model(self._random[0]).parameters

    def training_seconds(self) -> float:
        """Of all runs together, in this and in former calls."""
        return sum(running.training_seconds(self.workspace.run(name)) for name in self._runs)

    def _train_all(self) -> None:
        self._began = time.monotonic()
        with ThreadPoolExecutor(self.jobs) as pool:
            tasks: dict[Future[ModelReference], tuple[str, int]] = {}
            for seed in range(self.seeds):
                settings = plan.base_settings(self.scale, self._random[seed], seed)
                tasks[pool.submit(self._train, BASE, seed, settings)] = (BASE, seed)
            try:
                while tasks:
                    for task in wait(tasks, return_when=FIRST_COMPLETED).done:
                        name, seed = tasks.pop(task)
                        self._models[seed][name] = task.result()
                        if name == BASE:
                            tasks |= self._submit_variants(pool, seed)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _submit_variants(
        self, pool: ThreadPoolExecutor, seed: int
    ) -> dict[Future[ModelReference], tuple[str, int]]:
        base = self._models[seed][BASE].model
        little = ""
        if any(variant.little for variant in self.variants):
            little = material.make_little_corpus(
                self.workspace, self._random[seed], self._domain, seed, self.scale.little_bytes
            )
        tasks = {}
        for variant in self.variants:
            settings = plan.variant_settings(variant, self.scale, base, little, seed)
            task = pool.submit(self._train, variant.name, seed, settings)
            tasks[task] = (variant.name, seed)
        return tasks

    def _train(self, name: str, seed: int, settings: TrainingSettings) -> ModelReference:
        run = plan.run_name(name, seed, settings)
        self._runs.append(run)
        tokens = self.scale.base_tokens if name == BASE else self.scale.tokens
        done_before = running.is_complete(self.workspace.run(run))
        began = time.monotonic()
        reference = running.train(self.workspace, run, settings)
        took = time.monotonic() - began
        if done_before:
            # It costs nothing now, and says nothing about how long the others take.
            self._began += took
            self._say(f"seed {seed} {name}: was there")
        else:
            self._tokens_done += tokens
            self._say(f"seed {seed} {name}: trained in {duration(took)}")
        return reference

    def _left(self) -> str:
        if not self._tokens_done:
            return ""
        of_seed = self.scale.base_tokens + len(self.variants) * self.scale.tokens
        finished = sum(
            self.scale.base_tokens if name.startswith(f"{BASE}-") else self.scale.tokens
            for name in self._runs
            if running.is_complete(self.workspace.run(name))
        )
        left = self.seeds * of_seed - finished
        seconds = (time.monotonic() - self._began) * left / self._tokens_done
        return f"; about {duration(seconds)} of training left"

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}{self._left()}", flush=True)

    def _score(self, seed: int) -> dict[str, running.Score]:
        models = dict(self._models[seed])
        base, plain = models[BASE], models.get(plan.PLAIN.name)
        for part in self.merges:
            assert plain is not None, "the merge direction trains the plain variant"
            label = f"{merge_name(part)}-{plain.model.parent.parent.name}"
            folder = self.workspace.base_model(label)
            running.merge(base.model, plain.model, part, folder)
            models[merge_name(part)] = ModelReference(label, folder)
        scores = running.score(self.workspace, models, self.scale.scored_bytes)
        for name, score in scores.items():
            print(f"seed {seed} {name:14} domain {score.domain:.4f}  general {score.general:.4f}")
        return scores


def facts_of(bench: Bench, by_seed: Sequence[Scores]) -> dict[str, Any]:
    """What the page and the JSON say beside the scores."""
    base = by_seed[0][BASE]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "scale": asdict(bench.scale),
        "parameters": bench.parameters,
        "minutes": bench.training_seconds() / 60,
        "scored": {"domain": base.domain_bytes, "general": base.general_bytes},
    }


def results(directions: Sequence[Direction], by_seed: Sequence[Scores]) -> dict[str, Any]:
    """All scores, and each direction by seed."""
    return {
        "scores": [{name: asdict(score) for name, score in one.items()} for one in by_seed],
        "directions": {
            direction.name: {
                "test": direction.test,
                "holds": [direction.holds(scores) for scores in by_seed],
                "numbers": {
                    number.label: [number.of(scores) for scores in by_seed]
                    for number in direction.numbers
                },
            }
            for direction in directions
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns its exit status."""
    given = parse(arguments)
    directions = [one for one in DIRECTIONS if given.only in (None, one.name)]
    scale = plan.QUICK if given.quick else plan.FULL
    work = given.work / "quick" if given.quick else given.work
    bench = Bench(work, scale, directions, given.seeds, given.jobs)
    try:
        by_seed = bench.run()
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    facts = facts_of(bench, by_seed)
    text = report.page_part(facts, directions, by_seed)
    print("\n" + text)
    target = given.json or work / "results.json"
    content = json.dumps({**facts, **results(directions, by_seed)}, indent=1)
    target.write_text(content + "\n", encoding="utf-8")
    if given.page:
        replace_part(PAGE, PART, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
