"""Which command lines count as training."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio.runs.external.command_lines import (
    TrainingCommand,
    mlx_tune_trainer,
    parse_command_line,
)

TRAINS = [
    "mlx_lm.lora --train",
    "/opt/venv/bin/mlx_lm.lora --train",
    "mlx_lm lora --train",
    "python -m mlx_lm lora --train",
    "python3.12 -m mlx_lm.lora --train",
    "/usr/bin/python3 -u -X dev -W ignore -m mlx_lm.lora --train",
    "python -um mlx_lm.lora --train",
    "python -mmlx_lm.lora --train",
    "python -Wignore -Xdev -m mlx_lm lora --train",
    "python --check-hash-based-pycs never -m mlx_lm lora --train",
    "python -m mlx_lm.cli lora --train",
    "python3 /opt/venv/bin/mlx_lm.lora --train",
    "python3 -- /opt/venv/bin/mlx_lm.lora --train",
    "/Library/Frameworks/Python.app/Contents/MacOS/Python /opt/venv/bin/mlx_lm.lora --train",
    "python3 /opt/venv/bin/mlx_lm lora --train",
    "mlx_lm.lora --model m --tra",
    "mlx_lm_lora.train --train",
    "mlx-lm-lora --train",
    "python -m mlx_lm_lora train --train",
    "python -m mlx_lm_lora.train --train --train-mode dpo",
    "mlx_lm.lora --train --option-of-tomorrow value",
]

DOES_NOT = [
    "vim mlx_lm.lora",
    "vim python -m mlx_lm.lora --train",
    "grep -r mlx_lm.lora --train .",
    "tail -f mlx_lm.lora.log",
    "less /opt/venv/bin/mlx_lm.lora",
    "sh -c 'mlx_lm.lora --train'",
    "bash -lc 'python -m mlx_lm lora --train'",
    "python -c 'import mlx_lm' -m mlx_lm.lora --train",
    "python -uc 'pass' mlx_lm.lora --train",
    "python notes.py -m mlx_lm.lora --train",
    "python -m pytest mlx_lm.lora --train",
    "python -m http.server -m mlx_lm.lora --train",
    "python -W -m notes.py mlx_lm.lora --train",
    "python -X mlx_lm.lora",
    "python",
    "python -m",
    "python -",
    "python - -m mlx_lm.lora --train",
    "python --version -m mlx_lm.lora --train",
    "python -m mlx_lm generate --prompt 'lora --train'",
    "python -m mlx_lm",
    "mlx_lm server --model lora",
    "mlx_lm.generate --model m --adapter-path a",
    "mlx_lm.fuse --model m",
    "mlx_lm.lora --help",
    "python -m mlx_lm_extra.lora --train",
    "python -m my.mlx_lm.lora --train",
    "uv run mlx_lm.lora --train",
    "nano-python -m mlx_lm.lora --train",
    "caffeinate -i mlx_lm.lora --train",
    "",
]


@pytest.mark.parametrize("command", TRAINS)
def test_a_command_line_that_trains_is_recognised(command: str) -> None:
    found = parse_command_line(shlex.split(command))
    assert isinstance(found, TrainingCommand), found
    assert found.trains is True


@pytest.mark.parametrize("command", DOES_NOT)
def test_a_command_line_that_only_mentions_training_is_not(command: str) -> None:
    found = parse_command_line(shlex.split(command))
    assert isinstance(found, str)
    assert found


def test_what_the_options_say_is_told_and_nothing_else() -> None:
    found = parse_command_line(
        shlex.split(
            "mlx_lm.lora --model=org/model --data '../my data' --adapter-path adapters/one "
            "--iters 1200 --train --learning-rate -1"
        )
    )
    assert isinstance(found, TrainingCommand)
    assert (found.model, found.data) == ("org/model", "../my data")
    assert (found.adapter_path, found.iterations) == ("adapters/one", 1200)
    assert found.configuration is None


def test_absent_options_are_absent() -> None:
    found = parse_command_line(["mlx_lm.lora", "--train", "--iters", "many"])
    assert isinstance(found, TrainingCommand)
    assert found.model is found.data is found.adapter_path is found.iterations is None


@pytest.mark.parametrize(
    "given", [["-c", "run.yaml"], ["--config=run.yaml"], ["--conf", "run.yaml"]]
)
def test_a_configuration_file_is_named_and_leaves_open_whether_it_trains(given: list[str]) -> None:
    found = parse_command_line(["mlx_lm.lora", *given])
    assert isinstance(found, TrainingCommand)
    assert found.configuration == "run.yaml"
    assert found.trains is None


def test_testing_alone_does_not_train() -> None:
    found = parse_command_line(["mlx_lm.lora", "--test", "--adapter-path", "a"])
    assert isinstance(found, TrainingCommand)
    assert found.trains is False


def test_options_that_cannot_be_read_leave_a_running_program_in_doubt() -> None:
    found = parse_command_line(["mlx_lm.lora", "--train", "--mask-prompt=all"])
    assert isinstance(found, TrainingCommand)
    assert found.trains is None
    assert "could not parse its options" in found.evidence


@pytest.mark.parametrize(
    ("arguments", "executable"),
    [
        (["mlx_lm.lora", "--train"], "/usr/bin/sleep"),
        (["mlx_lm.lora", "--train"], "/usr/bin/python3.12"),
        (["python", "-m", "mlx_lm", "lora", "--train"], "/usr/bin/sleep"),
    ],
)
def test_a_name_that_is_only_claimed_is_not_believed(arguments: list[str], executable: str) -> None:
    found = parse_command_line(arguments, executable)
    assert isinstance(found, str)
    assert Path(executable).name in found


def test_a_python_of_another_name_is_believed() -> None:
    arguments = ["python", "-m", "mlx_lm.lora", "--train"]
    for executable in ("/opt/bin/python3.13t", "/opt/Python.app/Contents/MacOS/Python", None):
        assert isinstance(parse_command_line(arguments, executable), TrainingCommand)


def test_a_start_script_is_believed_when_it_starts_the_package() -> None:
    arguments = ["/opt/bin/python3", "/opt/bin/mlx_lm.lora", "--train"]
    by_pip = "import re, sys\nfrom mlx_lm.lora import main\nsys.exit(main())\n"
    by_old_setuptools = "__requires__ = 'mlx-lm==0.20'\nimport pkg_resources\n"
    unrelated = "import time\ntime.sleep(1000)  # mlx_lm\n"
    for source in (by_pip, by_old_setuptools, None):
        assert isinstance(
            parse_command_line(arguments, read_script=lambda _, s=source: s), TrainingCommand
        )
    refused = parse_command_line(arguments, read_script=lambda _: unrelated)
    assert isinstance(refused, str)
    assert "does not start mlx_lm" in refused


@pytest.mark.parametrize(
    "source",
    [
        "from mlx_tune import SFTTrainer\nSFTTrainer(model).train()\n",
        "from mlx_tune.cpt_trainer import CPTTrainer as T\nT(1).train()\n",
        "import mlx_tune\nmlx_tune.CPTTrainer(1)\n",
        "import mlx_tune as m\nm.sft_trainer.SFTTrainer(1)\n",
    ],
)
def test_a_script_that_makes_an_mlx_tune_trainer_counts(source: str) -> None:
    found = parse_command_line(["python", "train.py"], read_script=lambda _: source)
    assert isinstance(found, TrainingCommand)
    assert (found.tool, found.trains) == ("mlx-tune", None)


@pytest.mark.parametrize(
    "source",
    [
        "import mlx_tune\nmlx_tune.FastLanguageModel()\n",
        "from mlx_tune import SFTTrainer\n",
        "from other import SFTTrainer\nSFTTrainer()\n",
        "text = 'from mlx_tune import SFTTrainer; SFTTrainer()'\n",
        "# from mlx_tune import SFTTrainer\nSFTTrainer()\n",
        "def broken(:\n",
        "\x00",
        "(" * 5000,
    ],
)
def test_a_script_that_makes_none_does_not(source: str) -> None:
    assert mlx_tune_trainer(source) is None


_WORDS = st.sampled_from(
    (
        *("python", "-m", "-c", "-u", "-W", "--", "-", "mlx_lm", "mlx_lm.lora", "lora", "train"),
        *("mlx_lm_lora", "--train", "--tr", "--iters", "--config=", "-cx", "--model=a", "x", ""),
    )
)


@settings(deadline=None)
@given(st.lists(_WORDS | st.text(max_size=8), max_size=8), st.none() | st.text(max_size=12))
def test_no_command_line_is_too_odd(arguments: list[str], executable: str | None) -> None:
    found = parse_command_line(arguments, executable, lambda script: script)
    assert isinstance(found, TrainingCommand) or found
