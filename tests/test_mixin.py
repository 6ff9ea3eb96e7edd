"""The arguments of huggingface_hub's mixin: what each does here, over HTTP with the real client."""

from __future__ import annotations

import copy
import inspect
import json
import sys
import types
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import CommitInfo, ModelCard, ModelHubMixin, PyTorchModelHubMixin
from safetensors.torch import load_file, save_file, save_model
from support import REPOSITORY, TINY
from test_publish import TOKEN, Run, folder, run, server, vae  # noqa: F401  fixtures

import hfvae
from hfvae import VAE, DenseVAE, hub
from hfvae.hub import validate_card

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


# What a class may be


class Tied(DenseVAE):
    """With a bias, a parameter, and a buffer under two names each."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(hidden_features=[width], latent_dim=2)
        self.decoder[0][0].bias = self.encoder[1][0].bias
        self.register_buffer("one", torch.arange(3.0))
        self.register_buffer("other", self.one)


class Bare(DenseVAE):
    """Without constructor arguments."""

    def __init__(self) -> None:
        super().__init__(hidden_features=[4], latent_dim=3)


def is_tied(vae: VAE) -> bool:  # noqa: F811
    return vae.decoder[0][0].bias is vae.encoder[1][0].bias and vae.one is vae.other


@pytest.mark.parametrize("dtype", [None, torch.float16], ids=str)
def test_tied_layers_are_stored_once_and_stay_tied(dtype: torch.dtype | None, tmp_path: Path) -> None:
    tied = Tied()
    torch.nn.init.normal_(tied.decoder[0][0].bias)
    tied.save_pretrained(tmp_path, weights_dtype=dtype)
    stored = load_file(tmp_path / hub.WEIGHTS)
    assert set(tied.state_dict()) - set(stored) == {"decoder.0.0.bias", "other"}
    assert f"{sum(value.numel() for value in stored.values()):,} parameters" in (tmp_path / hub.CARD).read_text()
    loaded = Tied.from_pretrained(tmp_path)
    assert is_tied(loaded)
    assert torch.allclose(loaded.decoder[0][0].bias, tied.decoder[0][0].bias, atol=1e-2)
    assert is_tied(loaded._with({"width": 16}))


def test_tied_layers_of_other_writers(tmp_path: Path) -> None:
    """Under either name, as the stock mixin stores them, or under both."""
    tied = Tied()
    tied.save_pretrained(tmp_path)
    config = json.loads((tmp_path / hub.CONFIG).read_text())
    (tmp_path / hub.CONFIG).write_text(json.dumps({**config, "sha256": {}}))
    weights = {name: value.clone() for name, value in tied.state_dict().items()}
    for absent in ("encoder.1.0.bias", "decoder.0.0.bias", None):
        save_file({name: value for name, value in weights.items() if name != absent}, tmp_path / hub.WEIGHTS)
        assert is_tied(Tied.from_pretrained(tmp_path))
    save_file({**weights, "other": torch.zeros(3)}, tmp_path / hub.WEIGHTS)
    with pytest.raises(hub.WeightsError, match="other and one are one tensor in the model and differ in the file"):
        Tied.from_pretrained(tmp_path)
    save_model(tied, str(tmp_path / hub.WEIGHTS))
    assert is_tied(Tied.from_pretrained(tmp_path))


def test_memory_that_two_parameters_share_is_stored_twice(tmp_path: Path) -> None:
    vae = Bare()  # noqa: F811
    vae.decoder[0][0].bias.data = vae.encoder[1][0].bias.data
    vae.save_pretrained(tmp_path)
    assert set(load_file(tmp_path / hub.WEIGHTS)) == set(vae.state_dict())


def test_a_class_without_arguments(tmp_path: Path) -> None:
    Bare().save_pretrained(tmp_path)
    assert Bare().config == Bare.from_pretrained(tmp_path).config == {}
    assert type(VAE.from_pretrained(tmp_path)) is Bare


def subclass(name: str, base: type = DenseVAE, module: str = __name__, **body: object) -> type:
    return type(name, (base,), {"__module__": module, **body})


@pytest.mark.parametrize("name", ["DenseVAE", "ConvVAE"])
@pytest.mark.parametrize("base", [VAE, DenseVAE])
def test_a_class_of_the_name_of_one_of_ours_is_refused(name: str, base: type, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=rf"class {name}: hfvae\.models\.{name} has this name already"):
        subclass(name, base, __init__=lambda self, mine=1: None)
    for bundled in ("mnist-dense-2d", "mnist-conv-32d"):
        assert type(hfvae.load(bundled, device="cpu")).__module__ == "hfvae.models"


def test_two_classes_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for module in ("first_library", "second_library"):
        kinds.append(subclass("Twin", Bare, module))
        monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(Twin=kinds[-1]))  # type: ignore[misc]
    kinds[0]().save_pretrained(tmp_path)
    assert [type(kind.from_pretrained(tmp_path)) for kind in kinds] == kinds, "the class that is called"
    with pytest.raises(hub.ConfigError, match=r"there are several \(first_library.Twin, second_library.Twin\)"):
        hfvae.load(tmp_path)
    again = subclass("Twin", Bare, "second_library")  # a cell of a notebook that is run again
    monkeypatch.setitem(sys.modules, "second_library", types.SimpleNamespace(Twin=again))
    monkeypatch.delitem(sys.modules, "first_library")
    assert type(hfvae.load(tmp_path, device="cpu")) is again


@pytest.mark.parametrize("name", ["config", "data", "sha256", "model_class", "format_version"])
def test_arguments_that_config_json_needs_for_itself_are_refused(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"def constructor(self, {name}=None): pass", namespace)
    with pytest.raises(TypeError, match=f"{name!r} means something else in config.json: rename the argument"):
        subclass("Reserved", __init__=namespace["constructor"])


class Passing(DenseVAE):
    """Hands on what it is given."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{name: value for name, value in kwargs.items() if name != "note"})  # type: ignore


def test_arguments_that_config_json_cannot_hold_are_named(tmp_path: Path) -> None:
    for model, named in (
        (Passing([4], latent_dim=2), r"\*args"),
        (Passing(hidden_features=[4], note=Path("x")), "note"),
        (VAE(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), latent_dim=2, image_shape=(1, 28, 28)), "encoder, decoder"),
    ):
        with pytest.raises(hub.ConfigError, match=f"was built with {named}, which config.json cannot hold"):
            model.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    Passing(hidden_features=[4], note="plain").save_pretrained(tmp_path)
    assert Passing.from_pretrained(tmp_path).config == {"hidden_features": [4], "note": "plain"}
    copy.deepcopy(Passing(hidden_features=[4])).save_pretrained(tmp_path)


def test_coders_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"class Coded: coders= is not supported.* accept JSON values"):

        class Coded(DenseVAE, coders={Path: (str, Path)}):
            pass


TEMPLATE = """---
{{ card_data }}
---

# A card of {{ library_name }}

{{ greeting | default("Nothing") }}, see {{ docs_url }}; {{ facts.latent_dim }} latents.
"""


class Templated(
    Bare,
    library_name="mine",
    license="apache-2.0",
    docs_url="https://docs.example",
    model_card_template=TEMPLATE,
):
    """A card of the class's own."""


class Heir(Templated, model_card_template="Without front matter: {{ greeting }}"):
    """Another template."""


def test_a_template_of_a_class(server: HubServer, tmp_path: Path) -> None:  # noqa: F811
    Templated().save_pretrained(tmp_path / "a", model_card_kwargs={"greeting": "Hello", "tags": ["more"]})
    card = ModelCard.load(tmp_path / "a" / hub.CARD)
    assert (card.data.library_name, card.data.license) == ("mine", "apache-2.0")
    assert {"more", "vae", "pytorch_model_hub_mixin"} <= set(card.data.tags)
    assert "# A card of mine\n\nHello, see https://docs.example; 3 latents." in card.text
    Heir().save_pretrained(tmp_path / "b", model_card_kwargs={"greeting": "Hello"})
    card = validate_card((tmp_path / "b" / hub.CARD).read_text())
    assert (card.data.license, card.text.strip()) == ("apache-2.0", "Without front matter: Hello")
    assert Templated().generate_model_card(greeting="Hi").text.strip().startswith("# A card of mine\n\nHi, see")


@pytest.mark.parametrize("kind", [Bare, Documented])
def test_the_generated_card_is_that_which_is_saved(kind: type[VAE], tmp_path: Path) -> None:
    vae = kind()  # noqa: F811
    vae.save_pretrained(tmp_path / kind.__name__)
    generated, saved = vae.generate_model_card(), ModelCard.load(tmp_path / kind.__name__ / hub.CARD)
    assert generated.data.to_dict() == saved.data.to_dict()
    assert "hfvae.load(" in generated.text
    assert generated.text.partition("| file | SHA-256 |")[0] == saved.text.partition("| file | SHA-256 |")[0]
    assert vae.generate_model_card(license="cc0-1.0").data.license == "cc0-1.0"
    with pytest.raises(TypeError, match="model_card_kwargs has no 'licence'"):
        vae.generate_model_card(licence="mit")


class Editing(Bare):
    """Changes its card as the stock mixin's guide shows."""

    def generate_model_card(self, *args: object, **kwargs: object) -> ModelCard:
        card = super().generate_model_card(*args, **kwargs)  # type: ignore[arg-type]
        card.text += "\nWords of my own.\n"
        return card


def test_a_class_may_generate_its_card(tmp_path: Path) -> None:
    Editing().save_pretrained(tmp_path)
    text = (tmp_path / hub.CARD).read_text()
    assert f"# {tmp_path.name}\n" in text
    assert "Words of my own." in text
    assert hub.sha256(tmp_path / hub.WEIGHTS) in text


def test_the_tags_of_a_class_are_left_as_they_are() -> None:
    tags = ["one"]

    class Tagged(DenseVAE, tags=tags):
        pass

    assert tags == ["one"]


def test_a_push_returns_what_the_stock_mixin_returns(
    server: HubServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server.serve_here(monkeypatch, tmp_path / "cache")
    for commit in (
        Bare().push_to_hub("user/name", token=TOKEN),
        Bare().save_pretrained(tmp_path / "x", push_to_hub=True, repo_id="user/other", token=TOKEN),
    ):
        assert isinstance(commit, CommitInfo)
        repository = commit.repo_url.repo_id
        assert commit == commit.commit_url == f"{server.url}/{repository}/commit/{commit.oid}"
        assert commit.oid == server.commits(repository)[0].id
        assert commit.pr_url is None
    proposed = Bare().push_to_hub("user/name", token=TOKEN, create_pr=True)
    assert (proposed.pr_url, proposed.pr_num) == (f"{server.url}/user/name/discussions/1", 1)
