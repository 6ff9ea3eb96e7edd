"""The arguments of huggingface_hub's mixin: what each does here, over HTTP with the real client."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import ModelCard, ModelHubMixin, PyTorchModelHubMixin
from safetensors.torch import load_file
from support import REPOSITORY, TINY
from test_publish import TOKEN, Run, folder, run, server, vae  # noqa: F401  fixtures

from hfvae import VAE, DenseVAE, hub

CALL = """
import sys, hfvae
vae = hfvae.load(sys.argv[1], device="cpu")
try:
    print("answer", eval(sys.argv[2]))
except (TypeError, ValueError, hfvae.hub.HubError) as error:
    print(type(error).__name__, error)
"""


def test_every_argument_of_the_mixin_is_known() -> None:
    theirs = inspect.signature(ModelHubMixin.push_to_hub).parameters
    assert set(theirs) <= set(inspect.signature(VAE.push_to_hub).parameters)
    theirs = inspect.signature(ModelHubMixin.save_pretrained).parameters
    assert set(theirs) - {"push_to_hub_kwargs"} <= set(inspect.signature(VAE.save_pretrained).parameters)
    theirs = inspect.signature(ModelHubMixin.from_pretrained).parameters
    assert set(theirs) - {"model_kwargs"} <= set(inspect.signature(VAE.from_pretrained).parameters)
    described = (REPOSITORY / "docs" / "share.md").read_text()
    for method in (VAE.push_to_hub, VAE.save_pretrained, VAE.from_pretrained):
        for name in inspect.signature(method).parameters:
            assert name == "self" or f"`{name}`" in described, f"docs/share.md does not say what {name} does"


def test_constructor_overrides(folder: Path) -> None:  # noqa: F811
    vae = VAE.from_pretrained(folder, beta=3.0)  # noqa: F811
    assert vae.beta == vae.config["beta"] == 3.0
    plain = VAE.from_pretrained(folder)
    assert plain.beta == 1
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in vae.state_dict().items())
    with pytest.raises(hub.WeightsError, match="do not fit the config"):
        VAE.from_pretrained(folder, latent_dim=5)
    with pytest.raises(hub.ConfigError, match="beta must be positive"):
        VAE.from_pretrained(folder, beta=-1.0)
    for name in ("strict", "map_location", "bta"):
        with pytest.raises(TypeError, match=f"ConvVAE take no keyword argument '{name}'"):
            VAE.from_pretrained(folder, **{name: True})


def test_unknown_keywords_are_named(tmp_path: Path) -> None:
    tiny = TINY["dense"]()
    for options in ({"safe_serialization": True}, {"private": True}, {"push_to_hub": True, "max_shard_size": "1GB"}):
        name = list(options)[-1]
        with pytest.raises(TypeError, match=rf"save_pretrained\(\) got an unexpected keyword argument '{name}'"):
            tiny.save_pretrained(tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()
    with pytest.raises(TypeError, match="model_card_kwargs has no 'licence'; it may have license"):
        tiny.save_pretrained(tmp_path / "x", model_card_kwargs={"licence": "mit"})
    with pytest.raises(TypeError, match="max_shard_size"):
        tiny.push_to_hub("user/name", max_shard_size="1GB")


def test_branch_and_pull_request(server: HubServer, run: Run, folder: Path) -> None:  # noqa: F811
    said = run("-c", CALL, folder, "vae.push_to_hub('user/name', branch='next')", token=TOKEN)
    assert f"answer {server.url}/user/name/commit/{server.commits('user/name', 'next')[0].id}" in said
    assert hub.WEIGHTS in server.files("user/name", "next")
    assert hub.WEIGHTS not in server.files("user/name")
    said = run("-c", CALL, folder, "vae.push_to_hub('user/name', create_pr=True).pr_url", token=TOKEN)
    assert f"answer {server.url}/user/name/discussions/1" in said
    assert hub.WEIGHTS in server.files("user/name", "refs/pr/1")
    assert hub.WEIGHTS not in server.files("user/name")
    for call, words in (
        ("branch='a', revision='b'", "ValueError branch 'a' and revision 'b' are two names for one thing"),
        ("create_pr=True, tag='v1'", "ValueError a pull request has no commit to tag"),
    ):
        assert words in run("-c", CALL, folder, f"vae.push_to_hub('user/name', {call})", token=TOKEN)


def test_patterns(server: HubServer, run: Run, folder: Path) -> None:  # noqa: F811
    call = f"vae.push_to_hub('user/name', folder={str(folder)!r}, ignore_patterns='fig*')"
    run("-c", CALL, folder, call, token=TOKEN)
    names = set(server.files("user/name"))
    assert {hub.WEIGHTS, hub.METRICS, hub.CARD} <= names
    assert "figures/samples.png" not in names
    run("-c", CALL, folder, "vae.push_to_hub('user/few', allow_patterns=['*.json', '*.safetensors'])", token=TOKEN)
    assert set(server.files("user/few")) == {".gitattributes", hub.CONFIG, hub.WEIGHTS}
    server.put("user/few", {"old/a.bin": b"1", "notes.txt": b"2"})
    run("-c", CALL, folder, "vae.push_to_hub('user/few', delete_patterns='old/*')", token=TOKEN)
    assert {"notes.txt", hub.CARD} <= set(server.files("user/few"))
    assert "old/a.bin" not in server.files("user/few")


def test_config_and_card(server: HubServer, run: Run, folder: Path) -> None:  # noqa: F811
    words = "{'license': 'apache-2.0', 'tags': ['mine'], 'docs_url': 'https://docs.example'}"
    call = f"vae.push_to_hub('user/name', config={{'beta': 4.0}}, model_card_kwargs={words}, commit_message='Hello')"
    run("-c", CALL, folder, call, token=TOKEN)
    assert json.loads(server.files("user/name")[hub.CONFIG])["beta"] == 4
    card = ModelCard(server.files("user/name")[hub.CARD].decode())
    assert card.data.license == "apache-2.0"
    assert {"mine", "vae"} <= set(card.data.tags)
    assert "https://docs.example" in card.text
    assert server.commits("user/name")[0].title == "Hello" or server.commits("user/name")[-1].title == "Hello"
    said = run("-c", CALL, folder, "vae.push_to_hub('user/name', config={'latent_dim': 9})", token=TOKEN)
    assert "WeightsError config: the weights do not fit" in said


class Documented(
    DenseVAE,
    license="bsd-3-clause",
    tags=["documented"],
    repo_url="https://code.example",
    docs_url="https://docs.example",
    paper_url="https://paper.example",
):
    """A subclass whose keywords reach its card."""


def test_the_keywords_of_a_class_reach_its_card(tmp_path: Path) -> None:
    Documented(hidden_features=[4]).save_pretrained(tmp_path)
    card = ModelCard.load(tmp_path / hub.CARD)
    assert card.data.license == "bsd-3-clause"
    assert {"documented", "vae", "model_hub_mixin"} <= set(card.data.tags)
    for url in ("https://code.example", "https://docs.example", "https://paper.example"):
        assert url in card.text
    assert issubclass(Documented, PyTorchModelHubMixin)


def test_the_card_of_any_model(tmp_path: Path) -> None:
    vae = TINY["conv"](prior_type="Flow", prior_options={"blocks": 1, "features": 4})  # noqa: F811
    vae.save_pretrained(tmp_path)
    text = (tmp_path / hub.CARD).read_text()
    counted = sum(value.numel() for value in load_file(tmp_path / hub.WEIGHTS).values())
    assert f"{counted:,} parameters" in text, "what the hub counts in the weights file"
    for paper in ("1312.6114", "1907.06845", "1905.13452"):
        assert f"https://arxiv.org/abs/{paper}" in text
    assert "library_name: hfvae" in text
    assert "hfvae.load(" in text
