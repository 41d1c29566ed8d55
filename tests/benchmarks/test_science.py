"""The reproduction of training directions: what it is made of, what it concludes, that it runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.science import __main__ as science
from benchmarks.science import material, plan, report, running
from benchmarks.science.directions import BASE, DIRECTIONS, forgetting, gain, merge_name
from benchmarks.science.running import Score
from cptstudio.corpus.tokenizer import load_tokenizer


def scored(**models: tuple[float, float]) -> dict[str, Score]:
    """Scores from pairs of domain and general bits per byte; a name's "_" stands for "-"."""
    named = {name.replace("_", "-"): pair for name, pair in models.items()}
    return {name: Score(domain, general, 10, 10) for name, (domain, general) in named.items()}


def as_known() -> dict[str, Score]:
    """Scores of one seed in which every direction holds."""
    return scored(
        base=(3.0, 2.0),
        plain=(2.0, 3.0),
        replay_05=(2.01, 2.67),
        replay_25=(2.1, 2.25),
        low_constant=(2.5, 2.4),
        lower_rate=(2.2, 2.6),
        lora_02=(2.6, 2.1),
        lora_08=(2.4, 2.2),
        lora_32=(2.2, 2.4),
        little=(2.9, 3.4),
    ) | {merge_name(part): Score(2.1, 2.5, 10, 10) for part in plan.MERGES}


def test_a_token_is_a_byte_whatever_the_text(tmp_path: Path) -> None:
    material.make_tokenizer().save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    texts = ["def f(x):\n\treturn  x\r\n", "π ≠ 3, 漢字 \U0001f40d", "<|endoftext|>", " "]
    for text, tokens in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert len(tokens) == len(text.encode())
        assert tokenizer.decode(tokens.tolist()) == text
        assert max(tokens) < 256
    assert tokenizer.facts.eos == material.VOCABULARY - 1
    assert tokenizer.facts.vocabulary_size == material.VOCABULARY


def test_the_model_has_the_size_that_the_page_claims_and_another_start_for_each_seed() -> None:
    first, second = material.random_weights(0), material.random_weights(1)
    assert round(sum(value.size for value in first.values()) / 1e6, 2) == 0.43
    same = [name for name in first if np.array_equal(first[name], second[name])]
    assert all(first[name].ndim == 1 for name in same)


def test_a_merge_lies_between_its_two_models(tmp_path: Path) -> None:
    base = material.make_random_model(tmp_path / "base", seed=0)
    trained = material.make_random_model(tmp_path / "trained", seed=1)
    merged = load_file(running.merge(base, trained, 0.25, tmp_path / "m") / running.WEIGHTS)
    start, end = load_file(base / running.WEIGHTS), load_file(trained / running.WEIGHTS)
    for name, value in merged.items():
        np.testing.assert_allclose(value, 0.75 * start[name] + 0.25 * end[name], atol=1e-7)


def test_every_direction_holds_where_scores_are_as_known_and_fails_where_they_are_not() -> None:
    known = as_known()
    assert all(direction.holds(known) for direction in DIRECTIONS)
    worse = {
        "replay": {"replay-05": Score(2.0, 3.1, 10, 10)},
        "rewarming": {"low-constant": Score(1.9, 2.4, 10, 10)},
        "rank": {"lora-32": Score(2.2, 2.15, 10, 10)},
        "merge": {"merge-0.75": Score(2.3, 2.5, 10, 10)},
        "epochs": {"little": Score(2.4, 3.4, 10, 10)},
    }
    for direction in DIRECTIONS:
        changed = known | worse[direction.name]
        assert not direction.holds(changed), direction.name


def test_gain_and_forgetting_are_differences_from_the_base() -> None:
    known = as_known()
    assert gain(known, "plain") == pytest.approx(1.0)
    assert forgetting(known, "plain") == pytest.approx(1.0)
    shares = {number.label: number.of(known) for number in DIRECTIONS[0].numbers}
    assert shares["forgetting removed by 5 %"] == pytest.approx(0.33)
    assert shares["gain given up for 25 %"] == pytest.approx(0.1)


def test_the_table_tells_mean_spread_and_in_how_many_seeds_a_direction_holds() -> None:
    seeds = [as_known(), as_known() | {"low-constant": Score(1.9, 2.4, 10, 10)}]
    text = report.directions_table(DIRECTIONS, seeds)
    lines = {line.split(" | ")[0]: line for line in text.splitlines()}
    rewarming = next(line for start, line in lines.items() if "Re-warming" in start)
    assert "| 1 of 2 |" in rewarming
    assert "gain at the constant low rate: 0.800 (0.500 to 1.100)" in rewarming
    assert "| 2 of 2 |" in next(line for start, line in lines.items() if "Replay" in start)


def test_another_rate_or_another_base_is_another_run(tmp_path: Path) -> None:
    def name(base: str, variant: plan.Variant, seed: int) -> str:
        settings = plan.variant_settings(variant, plan.QUICK, tmp_path / base, "little", seed)
        return plan.run_name(variant.name, seed, settings)

    names = [
        name("one", plan.PLAIN, 0),
        name("two", plan.PLAIN, 0),
        name("one", plan.PLAIN, 1),
        name("one", plan.LOWER, 0),
    ]
    assert len(set(names)) == 4
    assert name("one", plan.PLAIN, 0) == names[0]


def test_all_variants_see_as_many_tokens_and_differ_as_they_are_described(tmp_path: Path) -> None:
    made = {
        variant.name: plan.variant_settings(variant, plan.FULL, tmp_path, "little", 0)
        for variant in plan.VARIANTS
    }
    assert {str(settings.length) for settings in made.values()} == {f"{plan.FULL.tokens} tokens"}
    assert made["replay-25"].data.replay_share == 0.25
    assert made["lora-08"].method.rank == 8
    assert made["low-constant"].schedule.kind == "constant"
    assert made["little"].data.corpora[0].name == "little"


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.timeout(1200)
def test_a_quick_run_trains_scores_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--work", str(tmp_path), "--quick", "--only", "merge", "--seeds", "1"]
    assert science.main(arguments) == 0
    results = json.loads((tmp_path / "quick" / "results.json").read_text())
    (scores,) = results["scores"]
    assert set(scores) == {BASE, "plain", "lower-rate", *map(merge_name, plan.MERGES)}
    assert scores["plain"]["domain"] < scores[BASE]["domain"]
    assert len(results["directions"]["merge"]["holds"]) == 1
    capsys.readouterr()
    assert science.main(arguments) == 0
    assert capsys.readouterr().out.count("was there") == 3
    assert json.loads((tmp_path / "quick" / "results.json").read_text())["scores"] == [scores]
