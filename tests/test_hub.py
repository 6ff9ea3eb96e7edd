"""The hub folder on disk: what is written, and what a stranger's folder may not do."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import TINY

import hfvae
from hfvae import VAE, ConvVAE, DenseVAE, hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    TINY["dense"]().save_pretrained(tmp_path)
    return tmp_path


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / hub.CONFIG).read_text())
    config.update(changes)
    (folder / hub.CONFIG).write_text(json.dumps({key: value for key, value in config.items() if value != "DELETE"}))


def test_config_is_the_constructor_call(folder: Path) -> None:
    config = json.loads((folder / hub.CONFIG).read_text())
    assert config.pop("model_class") == "DenseVAE"
    assert config.pop("format_version") == 1
    assert config.pop("sha256") == {hub.WEIGHTS: hub.sha256(folder / hub.WEIGHTS)}
    assert DenseVAE(**config).config == config


def test_only_safetensors_and_text_are_written(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_saving_again_keeps_a_card_edited_by_hand(folder: Path) -> None:
    (folder / hub.CARD).write_text("mine")
    TINY["dense"]().save_pretrained(folder)
    assert (folder / hub.CARD).read_text() == "mine"


def test_latents_round_trip(folder: Path) -> None:
    mean, places = torch.randn(10, 2).half().float(), (2 * torch.rand(10, 2) - 1).half().float()
    latents = hub.Latents(mean, torch.arange(10), torch.randn(10), places)
    hub.write_latents(folder, latents)
    for ours, theirs in zip(hub.ModelSource(folder).latents(), latents, strict=True):
        assert torch.equal(ours, theirs)
    hub.write_latents(folder, latents._replace(places=3 * places))
    with pytest.raises(hub.WeightsError, match=r"two coordinates in \[-1, 1\] for each code"):
        hub.ModelSource(folder).latents()
    hub.write_latents(folder, latents)
    assert hub.LATENTS in json.loads((folder / hub.CONFIG).read_text())["sha256"]


def test_codes_for_a_config_without_checksums(folder: Path) -> None:
    edit_config(folder, sha256="DELETE")
    hub.write_latents(folder, hub.Latents(torch.randn(10, 2), torch.arange(10)))
    assert hub.ModelSource(folder).latents().mean.shape == (10, 2)


def test_codes_are_void_once_the_weights_change(folder: Path) -> None:
    hub.write_latents(folder, hub.Latents(torch.randn(10, 2), torch.arange(10)))
    TINY["dense"]().save_pretrained(folder)
    assert not hub.ModelSource(folder).has_latents()
    with pytest.raises(hub.NotFoundError, match="no latent codes for these weights"):
        hub.ModelSource(folder).latents()


@pytest.mark.parametrize(
    "latents",
    [
        hub.Latents(torch.zeros(3), torch.arange(3)),
        hub.Latents(torch.zeros(3, 2), torch.arange(4)),
        hub.Latents(torch.zeros(3, 2), torch.tensor([1, 2, 10])),
        hub.Latents(torch.full((3, 2), torch.nan), torch.arange(3)),
        hub.Latents(torch.zeros(0, 2), torch.arange(0)),
        hub.Latents(torch.zeros(3, 2), torch.arange(3), torch.zeros(2)),
        hub.Latents(torch.zeros(3, 2), torch.arange(3), torch.full((3,), torch.inf)),
    ],
)
def test_codes_that_are_none(folder: Path, latents: hub.Latents) -> None:
    hub.write_latents(folder, latents)
    with pytest.raises(hub.WeightsError, match="hold"):
        hub.ModelSource(folder).latents()


def test_a_folder_has_no_revisions(folder: Path) -> None:
    with pytest.raises(hub.NotFoundError, match="leave revision None"):
        hfvae.load(folder, revision="v1")


def test_float16_storage_loads_as_float32(tmp_path: Path) -> None:
    vae = TINY["dense"]().half()
    vae.save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / hub.WEIGHTS).values()} == {torch.float16}
    loaded = hfvae.load(tmp_path, device="cpu")
    assert loaded.dtype == torch.float32
    assert all(torch.equal(a, b.float()) for a, b in zip(loaded.parameters(), vae.parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"model_class": "os.system"}, hub.ConfigError, "known classes are .*ConvVAE, DenseVAE"),
        ({"model_class": "DELETE"}, hub.ConfigError, "names no model_class"),
        ({"model_class": ["DenseVAE"]}, hub.ConfigError, "names no model_class"),
        ({"format_version": 2}, hub.ConfigError, "reads up to 1: upgrade"),
        ({"format_version": "1"}, hub.ConfigError, "format version '1'"),
        ({"unheard_of": 1}, hub.ConfigError, "unexpected keyword argument 'unheard_of'"),
        ({"latent_dim": 10**9}, hub.ConfigError, "latent_dim must be between"),
        ({"hidden_features": [65536, 65536]}, hub.ConfigError, "fewer or narrower layers"),
        ({"hidden_features": "512"}, hub.ConfigError, "hidden_features must be a list"),
        ({"image_shape": [65536, 65536, 65536]}, hub.ConfigError, "weights in one direction"),
        ({"likelihood_type": {"a": 1}}, hub.ConfigError, "likelihood_type must be one of"),
        ({"activation": ["relu"]}, hub.ConfigError, "activation must be one of"),
        ({"sha256": "abc"}, hub.ConfigError, "sha256 entry"),
        ({"sha256": {"model.safetensors": "0" * 64}}, hub.WeightsError, "not the file that was saved"),
        ({"hidden_features": [8]}, hub.WeightsError, "weights do not fit the config"),
        ({"latent_dim": 3}, hub.WeightsError, "weights do not fit the config"),
    ],
)
def test_a_strangers_config(folder: Path, changes: dict[str, Any], error: type[hub.HubError], sentence: str) -> None:
    edit_config(folder, **changes)
    started = time.monotonic()
    with pytest.raises(error, match=sentence) as caught:
        VAE.from_pretrained(folder)
    assert str(folder) in str(caught.value), "the message names the place"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "text", ["", "null", "[1]", "{", '{"model_class": "DenseVAE", "beta": NaN}', "[" * 30_000, " " * 70_000, "\x00"]
)
def test_a_config_that_is_no_config(folder: Path, text: str) -> None:
    (folder / hub.CONFIG).write_text(text)
    with pytest.raises(hub.ConfigError, match=re.escape(str(folder))):
        VAE.from_pretrained(folder)


def test_damaged_weights(folder: Path) -> None:
    path = folder / hub.WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(hub.WeightsError, match="SHA-256 differs"):
        VAE.from_pretrained(folder)
    edit_config(folder, sha256="DELETE")  # a config without checksums: the header must still be sound
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(hub.WeightsError, match="no readable safetensors"):
        VAE.from_pretrained(folder)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_weights_load_strictly(folder: Path, change: str) -> None:
    weights = load_file(folder / hub.WEIGHTS)
    if change == "missing":
        weights.popitem()
    else:
        weights["extra"] = torch.zeros(1)
    save_file(weights, folder / hub.WEIGHTS)
    edit_config(folder, sha256="DELETE")
    with pytest.raises(hub.WeightsError, match="do not fit the config"):
        VAE.from_pretrained(folder)


@pytest.mark.parametrize("filename", [hub.CONFIG, hub.WEIGHTS])
def test_a_missing_file(folder: Path, filename: str) -> None:
    (folder / filename).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(hub.NotFoundError, match=f"no {filename}"):
        VAE.from_pretrained(folder)


@pytest.mark.parametrize("place", ["./nowhere", "/no/such/folder", "a/b/c", "user/repo@v1", "..", ""])
def test_no_such_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hub.HubError):
        hfvae.load(place)


def test_the_wrong_class_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(hub.ConfigError, match="holds a DenseVAE, not a ConvVAE"):
        ConvVAE.from_pretrained(folder)


def test_a_file_is_replaced_and_never_written_over(folder: Path, tmp_path: Path) -> None:
    """Whoever has the old file open reads it to its end."""
    kept, before = tmp_path / "kept", (folder / hub.WEIGHTS).read_bytes()
    kept.hardlink_to(folder / hub.WEIGHTS)
    torch.manual_seed(1)
    TINY["dense"]().save_pretrained(folder)
    assert (folder / hub.WEIGHTS).read_bytes() != before
    assert kept.read_bytes() == before


def test_an_interrupted_save_leaves_the_old_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / hub.WEIGHTS).read_bytes()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("hfvae.hub.layout.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        TINY["dense"]().save_pretrained(folder)
    assert (folder / hub.WEIGHTS).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", hub.bundled_names())
def test_bundled_models_load_offline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfvae.hub.download.hf_hub_download", None)
    vae = hfvae.load(name, device="cpu")
    assert not vae.training
    latents = hub.ModelSource(name).latents()
    assert latents.mean.shape == (10_000, vae.latent_dim)
    assert latents.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_bundle() -> None:
    assert hub.bundled_names() == ["mnist-conv-32d", "mnist-conv-40d-binary", "mnist-dense-2d"]
    assert sum(path.stat().st_size for path in hub.BUNDLED.rglob("*") if path.is_file()) <= 16 * 2**20


@pytest.mark.parametrize("name", hub.bundled_names())
def test_cards_in_the_box_name_their_weights_and_the_code_that_made_them(name: str) -> None:
    folder = hub.BUNDLED / name
    written = (folder / hub.CARD).read_text()
    assert f"# {name}\n" in written
    for file in (hub.WEIGHTS, hub.LATENTS):
        assert f"| {file} | `{hub.sha256(folder / file)}` |" in written
    assert re.search(r"Code: commit [0-9a-f]{40}", written)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda weight: weight * torch.nan, "holds NaN or infinity"),
        (lambda weight: weight / 0, "holds NaN or infinity"),
        (lambda weight: weight.round().long(), "is torch.int64, not torch.float32"),
        (lambda weight: weight.to(torch.complex64), "is torch.complex64, not torch.float32"),
        (lambda weight: weight > 0, "is torch.bool, not torch.float32"),
    ],
    ids=["NaN", "infinity", "integers", "complex", "bool"],
)
def test_weights_that_are_no_finite_numbers(
    spoil: Callable[[torch.Tensor], torch.Tensor], sentence: str, folder: Path
) -> None:
    weights = load_file(folder / hub.WEIGHTS)
    name = next(iter(weights))
    save_file({**weights, name: spoil(weights[name])}, folder / hub.WEIGHTS)
    edit_config(folder, sha256="DELETE")
    with pytest.raises(hub.WeightsError, match=sentence):
        hfvae.load(folder, device="cpu")
