"""Flags made from the settings tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cptstudio.cli import app as cli
from cptstudio.cli.runs import _change
from cptstudio.cli.setting_options import merge, with_setting_options
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.errors import UserError
from cptstudio.sampling import Sampling
from cptstudio.setting_flags import SHORT_NAMES, leaves
from cptstudio.settings import (
    SAMPLED,
    EvaluationSettings,
    Length,
    TrainingSettings,
    parse_settings,
)
from cptstudio.validation import limits_of
from cptstudio.web.work.corpus_work import BuildBody


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
    code, _, text = run("--batch-size", "many")
    assert code == 2
    assert "--batch-size" in text


@pytest.mark.parametrize(
    ("arguments", "dotted", "value"),
    [
        (("--learning-rate", "0,001"), "optimizer.learning_rate", 0.001),
        (("--optimizer.learning_rate", "5e-4"), "optimizer.learning_rate", 5e-4),
        (("--optimizer.learning-rate", "5e-4"), "optimizer.learning_rate", 5e-4),
        (("--checkpoints.every", "1 000 steps"), "checkpoints.every", Length(1000, "steps")),
        (("--save-every", "1_000 steps"), "checkpoints.every", Length(1000, "steps")),
        (("--checkpoints.keep_last", "3"), "checkpoints.keep_last", 3),
        (("--no-compute.fast_blas",), "compute.fast_blas", False),
        (("--replay-share", "5%"), "data.replay_share", 0.05),
        (("--model.path", "other"), "model.path", "other"),
        (("--rows", "3"), "batch.size", 3),
        (("--batch.accumulation", "2"), "batch.gradient_accumulation_steps", 2),
        (("--batch.gradient-accumulation-steps", "2"), "batch.gradient_accumulation_steps", 2),
        (("--context-length", "64"), "data.sequence_length", 64),
    ],
)
def test_numbers_are_read_and_settings_found_by_either_name(
    arguments: tuple[str, ...], dotted: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the real command would plan with."""
    seen: list[TrainingSettings] = []

    def stop_here(workspace: object, found: TrainingSettings, machine: object) -> None:
        seen.append(found)
        raise SystemExit(0)

    monkeypatch.setattr("cptstudio.cli.train.make_plan", stop_here)
    mixture = ("--model", "base", "--corpus", "a", "--replay", "b")
    result = CliRunner().invoke(cli, ["plan", *mixture, *arguments])
    assert seen, result.output
    tree: Any = seen[0]
    for part in dotted.split("."):
        tree = getattr(tree, part)
    assert tree == value


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan", "--batch-size", "1,000"), "could mean 1000 or 1."),
        (("plan", "--learning-rate", "0x10"), "Enter a number."),
        (("generate", "m", "-p", "x", "--temperature", "1,000"), "could mean 1000 or 1."),
        (("generate", "m", "-p", "x", "--max-tokens", "0"), "Enter a whole number of at least 1."),
        (("corpus", "build", "x", ".", "--validation", "5"), "Enter a number from 0 to 0.5."),
    ],
)
def test_a_number_that_cannot_be_read_is_refused_at_its_flag(
    arguments: tuple[str, ...], told: str
) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    words = " ".join(result.output.replace("│", " ").split())
    assert told in words and arguments[-2] in words


def test_a_setting_that_cannot_be_is_told_with_its_flag() -> None:
    result = CliRunner().invoke(
        cli, ["plan", "--model", "m", "-c", "a", "--learning-rate", "7", "--save-every", "soon"]
    )
    assert isinstance(result.exception, UserError)
    assert result.exception.problems == (
        "Learning rate (--learning-rate): Use at most 1.",
        "Save every (--save-every): Enter a number and a unit, such as 500 steps, 2M tokens, or "
        "1.5 epochs.",
    )


def test_a_fork_takes_either_name_and_no_octal() -> None:
    assert _change("learning-rate=0,0005") == ("optimizer.learning_rate", "0,0005")
    assert _change("--save-every=5 steps") == ("checkpoints.every", "5 steps")
    assert _change("checkpoints.keep_last=010") == ("checkpoints.keep_last", "010")
    assert _change("evaluation.prompts=[a, b]") == ("evaluation.prompts", ["a", "b"])
    assert _change("optimizer.learning_rate=null") == ("optimizer.learning_rate", None)
    assert _change("nonsense=1") == ("nonsense", "1")


def test_sampling_beyond_its_bounds_is_a_sentence(tmp_path: Path) -> None:
    command = (
        "suite",
        "create",
        "x",
        "--prompt",
        "a",
        "--temperature",
        "50",
        "--seed",
        "5000000000",
    )
    result = CliRunner().invoke(cli, [*command, "--workspace", str(tmp_path)])
    assert isinstance(result.exception, UserError), result.output
    assert result.exception.problems == (
        "Temperature: Use at most 10.",
        "Seed: Use a value below 4,294,967,296.",
    )


@pytest.mark.parametrize("command", [["runs", "list"], ["corpus", "list"], ["models", "list"]])
def test_a_workspace_that_is_a_file_is_refused_by_its_option(
    tmp_path: Path, command: list[str]
) -> None:
    file = tmp_path / "notes"
    file.touch()
    result = CliRunner().invoke(cli, [*command, "--workspace", str(file)])
    assert result.exit_code == 2 and "--workspace" in result.output
    assert "is a file" in " ".join(result.output.replace("│", " ").split())
    result = CliRunner().invoke(cli, [*command, "--workspace", str(tmp_path / "gone")])
    assert result.exit_code == 1 and "the folder does not exist" in str(result.exception)
    assert not (tmp_path / "gone").exists()


def test_commands_and_training_sample_as_one_model_says() -> None:
    for path, left_out in (("generate", set()), ("compare", {"seed"}), ("suite create", set())):
        command: Any = typer.main.get_command(cli)
        for part in path.split():
            command = command.commands[part]
        shown = {flag: one.show_default for one in command.params for flag in one.opts}
        fields = Sampling.model_fields.keys() - left_out
        assert {f"--{name.replace('_', '-')}" for name in fields} <= shown.keys()
        # 60, 100 and 200 stood in a command, in the model and in a page.
        assert shown["--max-tokens"] == ("64" if path == "suite create" else "100")
    for own, of in SAMPLED.items():
        field = EvaluationSettings.model_fields[own]
        if of != "max_tokens":
            assert limits_of(field) == limits_of(Sampling.model_fields[of])
        assert getattr(EvaluationSettings(**{own: 1 if of != "min_p" else 0.999}), own) > 0


def test_a_corpus_is_built_with_one_set_of_options(tmp_path: Path) -> None:
    command: Any = typer.main.get_command(cli)
    built = command.commands["corpus"].commands["build"]
    flags = {flag for one in built.params for flag in one.opts}
    names = BuildSettings.model_fields.keys()
    named = {"source_notes": "--note"}
    assert {named.get(name, f"--{name.replace('_', '-')}") for name in names} <= flags
    assert {**BuildBody.model_fields}.keys() >= names
    for name in ("validation", "held_out"):
        assert BuildBody.model_validate({"name": "x", name: "20 %"}).validation == 0.2
    # The page and the API refused it, the command did not.
    arguments = ["corpus", "build", "x", str(tmp_path), "--text-field", "", "-w", str(tmp_path)]
    refused = CliRunner().invoke(cli, arguments)
    assert isinstance(refused.exception, UserError), refused.output
    assert refused.exception.problems == ("Text field: Enter some text.",)
