"""Flags made from the settings tree."""

from __future__ import annotations

from typing import Any

import typer
from typer.testing import CliRunner

from cptstudio.cli.setting_options import merge, with_setting_options
from cptstudio.setting_flags import SHORT_NAMES, leaves
from cptstudio.settings import parse_settings


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    seen: dict[str, Any] = {}
    app = typer.Typer()

    @app.command()
    @with_setting_options
    def train(name: str, given: dict[str, Any]) -> None:
        """Train."""
        seen.update(given)
        assert name == "first"

    result = CliRunner().invoke(app, ["first", *arguments])
    return result.exit_code, seen, result.output


def test_every_setting_has_a_flag_and_only_given_ones_arrive() -> None:
    code, seen, _ = run()
    assert code == 0
    assert seen == {}
    _, _, text = run("--help")
    for dotted, _field in leaves():
        flag = SHORT_NAMES.get(dotted, f"--{dotted.replace('_', '-')}")
        assert flag.removeprefix("--")[:8] in text, flag
    assert set(SHORT_NAMES) <= {dotted for dotted, _ in leaves()}


def test_flags_reach_the_tree_with_their_types() -> None:
    code, seen, _ = run(
        *("--learning-rate", "1e-3", "--no-fast-blas", "--length", "2 epochs"),
        *("--prompt", "one", "--prompt", "two", "--guards.spike-sigma", "5"),
    )
    assert code == 0
    tree = {"model": {"path": "base"}, "data": {"corpora": [{"name": "domain"}]}}
    settings = parse_settings(merge(tree, seen))
    assert settings.optimizer.learning_rate == 1e-3
    assert settings.compute.fast_blas is False
    assert str(settings.length) == "2 epochs"
    assert settings.evaluation.prompts == ("one", "two")
    assert settings.guards.spike_sigma == 5
    assert "optimizer" not in tree


def test_a_flag_of_the_wrong_type_is_refused_by_name() -> None:
    code, _, text = run("--rows", "many")
    assert code == 2
    assert "--rows" in text
