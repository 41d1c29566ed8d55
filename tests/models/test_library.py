"""The library of models: what is listed, how it is described, and what is refused."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.models import architectures, hub
from cptstudio.models.hugging_face_cache import cached_models
from cptstudio.models.library import ModelLibrary
from cptstudio.models.license import read_license
from cptstudio.workspace import Workspace
from tests.models.fake_hub import FakeHub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def demo_model(folder: Path, **changes: object) -> Path:
    """A copy of the demo's model, with changes to its configuration."""
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def in_cache(cache: Path, model_id: str, commit: str = COMMIT, *, main: bool = True) -> Path:
    """A model laid out as the Hugging Face cache does it: links to blobs."""
    folder = cache / f"models--{model_id.replace('/', '--')}"
    whole = demo_model(folder / "whole")
    (folder / "blobs").mkdir(exist_ok=True)
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in list(whole.iterdir()):
        blob = folder / "blobs" / f"{path.name}-{commit[:4]}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(blob)
    whole.rmdir()
    if main:
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    return snapshot


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def test_models_of_all_places_are_listed_with_what_names_them(
    workspace: Workspace, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    demo_model(workspace.base_model("own"))
    elsewhere = demo_model(tmp_path / "elsewhere")
    snapshot = in_cache(cache, "Some-Org/Cached")
    library = ModelLibrary(workspace, lambda: [elsewhere], cache)
    found = {(model.place, model.id, model.path) for model in library.models()}
    assert found == {
        ("workspace", "own", workspace.base_model("own")),
        ("folder", str(elsewhere), elsewhere),
        ("cache", "Some-Org/Cached", snapshot),
    }
    own = library.find("own")
    assert own.error is None
    assert own.description is not None
    assert (own.description.model_type, own.description.dtype) == ("qwen3", "bfloat16")
    assert own.description.full_training_obstacle is None
    with pytest.raises(UserError, match="no model '/etc'"):
        library.find("/etc")


def test_a_model_without_main_is_named_by_its_folder(workspace: Workspace, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    snapshot = in_cache(cache, "org/detached", main=False)
    [model] = ModelLibrary(workspace, cache=cache).models()
    assert (model.name, model.id) == ("org/detached", str(snapshot))


def test_a_workspace_model_hides_no_cached_one_of_the_same_name(
    workspace: Workspace, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    demo_model(workspace.base_model("gpt"))
    snapshot = in_cache(cache, "gpt")
    ids = [model.id for model in ModelLibrary(workspace, cache=cache).models()]
    assert ids == ["gpt", str(snapshot)]


def test_quantized_models_say_why_full_training_is_impossible(workspace: Workspace) -> None:
    demo_model(workspace.base_model("packed"), quantization={"bits": 4, "group_size": 64})
    description = ModelLibrary(workspace, cache=Path("/nowhere")).find("packed").description
    assert description is not None
    assert description.quantization is not None
    assert (description.quantization.bits, description.quantization.group_size) == (4, 64)
    assert "LoRA" in (description.full_training_obstacle or "")


def test_models_that_cannot_be_used_are_listed_with_the_reason(workspace: Workspace) -> None:
    demo_model(workspace.base_model("unknown"), model_type="bert")
    demo_model(workspace.base_model("code"), model_file="evil.py")
    (demo_model(workspace.base_model("damaged")) / "config.json").write_text("{")
    weights = demo_model(workspace.base_model("cut")) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    pickled = demo_model(workspace.base_model("pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    workspace.base_model("empty").mkdir()
    library = ModelLibrary(workspace, cache=Path("/nowhere"))
    errors = {model.id: model.error or "" for model in library.models()}
    assert "not support the architecture 'bert'" in errors["unknown"]
    assert "Python code" in errors["code"]
    assert "not valid JSON" in errors["damaged"]
    assert "truncated" in errors["cut"]
    assert "pickle" in errors["pickled"]
    assert "no config.json" in errors["empty"]
    with pytest.raises(UserError, match="cannot be used"):
        library.find("cut")


def test_the_cache_shows_language_models_only(workspace: Workspace, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    in_cache(cache, "org/good")
    other = in_cache(cache, "org/pictures")
    config = (other / "config.json").resolve()
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "clip"}))
    begun = in_cache(cache, "org/begun")
    (begun / "model.safetensors").resolve().unlink()
    (cache / "datasets--org--data").mkdir()
    (cache / "models--org--nothing" / "snapshots").mkdir(parents=True)
    library = ModelLibrary(workspace, cache=cache)
    errors = {model.name: model.error for model in library.models()}
    assert set(errors) == {"org/good", "org/begun"}
    assert errors["org/good"] is None
    assert errors["org/begun"]


def test_a_changed_model_is_described_anew(workspace: Workspace) -> None:
    folder = demo_model(workspace.base_model("m"))
    library = ModelLibrary(workspace, cache=Path("/nowhere"))
    assert library.find("m").error is None
    assert library.find("m").description is library.find("m").description
    (folder / "model.safetensors").unlink()
    assert library.models()[0].error is not None


def test_what_mlx_lm_can_load_is_known_without_loading_it() -> None:
    known = architectures.supported_model_types()
    assert known is not None
    assert {"qwen3", "llama", "mistral"} <= known
    assert "bert" not in known
    assert architectures.obstacle("llama") is None


def test_a_strange_cache_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "models--a--b" / "refs").mkdir(parents=True)
    (tmp_path / "models--a--b" / "refs" / "main").write_text("../../../../etc")
    (tmp_path / "models--c--d").write_text("a file")
    assert list(cached_models(tmp_path)) == []
    assert list(cached_models(tmp_path / "nowhere")) == []


def test_the_hub_is_searched_by_words(hub_server: FakeHub) -> None:
    hub_server.add("some-org/Small", {}, gated=True)
    hub_server.add("some-org/Other", {})
    [found] = hub.search("small")
    assert found["id"] == "some-org/Small"
    assert found["gated"] is True
    assert found["downloads"] == 7
    assert found["updated"] == pytest.approx(1767323045.0)
    hub_server.faults.broken_api = "<html>sign in to the hotel's network</html>"
    with pytest.raises(UserError, match="did not answer like a hub"):
        hub.search("small")


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("\ufeff---\r\ntags: [x]\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: other\nlicense_name: own-terms\n---\n", "own-terms"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [mit]\n---\n", "mit"),
        ("---\nlicense: [mit, gpl]\n---\n", None),
        ("---\nlicense: {a: [\n---\n", None),
        ("license: mit\n", None),
        (f"---\nlicense: {'x' * 200}\n---\n", None),
        ("---\n- mit\n---\n", None),
    ],
)
def test_the_license_is_what_the_card_names(tmp_path: Path, card: str, found: str | None) -> None:
    assert read_license(tmp_path) is None
    (tmp_path / "README.md").write_text(card, encoding="utf-8", newline="")
    assert read_license(tmp_path) == found
