"""Which files belong to which configuration and split, as the hub's own pages have it."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio.datasets.layout import configurations, converted

Laid = dict[str, dict[str, tuple[str, ...]]]


def laid(card: dict[str, Any], *paths: str) -> Laid:
    return {
        one.name: {split.name: split.files for split in one.splits}
        for one in configurations(card, paths)
    }


@pytest.mark.parametrize(
    ("paths", "splits"),
    [
        (("data.jsonl", "README.md"), {"train": ("data.jsonl",)}),
        (("train.csv", "test.csv"), {"train": ("train.csv",), "test": ("test.csv",)}),
        (
            ("data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet"),
            {"train": ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet")},
        ),
        (
            ("data/own-00000-of-00001.parquet", "train.parquet"),
            {"own": ("data/own-00000-of-00001.parquet",)},
        ),
        (
            ("dev/a.jsonl", "train/a.jsonl"),
            {"train": ("train/a.jsonl",), "validation": ("dev/a.jsonl",)},
        ),
        (("my_train_1.jsonl.gz", "restaurant.jsonl"), {"train": ("my_train_1.jsonl.gz",)}),
        (("a.bin", "model.safetensors"), {}),
    ],
)
def test_names_tell_the_splits(paths: tuple[str, ...], splits: dict[str, Any]) -> None:
    assert laid({}, *paths) == ({"default": splits} if splits else {})


def test_what_the_card_declares_holds() -> None:
    card = {
        "configs": [
            {
                "config_name": "en",
                "default": True,
                "data_files": [
                    {"split": "train", "path": ["en/*.parquet", "more/en.parquet"]},
                    {"split": "test", "path": "en/held/**"},
                ],
            },
            {"config_name": "de", "data_files": "de/*"},
            {"config_name": "fr", "data_dir": "fr"},
            {"config_name": "none", "data_files": "nowhere/*"},
            "nonsense",
        ],
        "dataset_info": [
            {"config_name": "en", "splits": [{"name": "train", "num_examples": 12}]},
            {"config_name": "de", "splits": [{"name": "train", "num_examples": "many"}]},
        ],
    }
    paths = ("en/b.parquet", "en/a.parquet", "en/held/x/t.parquet", "more/en.parquet",
             "de/1.jsonl", "fr/train.csv", "fr/test.csv", "other.jsonl")  # fmt: skip
    found = configurations(card, paths)
    assert laid(card, *paths) == {
        "en": {
            "train": ("en/a.parquet", "en/b.parquet", "more/en.parquet"),
            "test": ("en/held/x/t.parquet",),
        },
        "de": {"train": ("de/1.jsonl",)},
        "fr": {"train": ("fr/train.csv",), "test": ("fr/test.csv",)},
    }
    assert [one.is_default for one in found] == [True, False, False]
    assert (found[0].splits[0].rows, found[1].splits[0].rows) == (12, None)


def test_the_hubs_own_conversion_names_both() -> None:
    paths = [
        "en/partial-train/0001.parquet",
        "en/partial-train/0000.parquet",
        "de/test/0000.parquet",
    ]
    found = {one.name: {s.name: len(s.files) for s in one.splits} for one in converted({}, paths)}
    assert found == {"de": {"test": 1}, "en": {"train": 2}}


def test_patterns_of_strangers_are_no_harm() -> None:
    for pattern in ("[", "https://elsewhere/x.parquet", "../../*", "(" * 500, "**" * 50, None, {}):
        card = {"configs": [{"config_name": "x", "data_files": pattern}]}
        assert set(laid(card, "train.jsonl")) <= {"default", "x"}
