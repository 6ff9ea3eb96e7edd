"""Downloads from a hub that is slow, wrong or hostile, by the real client over HTTP, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import Fault, HubServer
from huggingface_hub import constants
from support import TINY

import hfvae
from hfvae import VAE, hub
from hfvae.hub import transfer
from hfvae.version import __version__

Load = Callable[..., VAE]


@pytest.fixture
def vae() -> VAE:
    return TINY["dense"]()


@pytest.fixture
def server(vae: VAE, tmp_path: Path) -> Iterator[HubServer]:
    """A hub with the model user/name."""
    vae.save_pretrained(tmp_path / "model")
    with HubServer() as server:
        server.put("user/name", {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()})
        yield server


@pytest.fixture
def source(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., hub.ModelSource]:
    """Where user/name comes from: that hub, through a cache of its own and with an impatient client."""
    server.serve_here(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 1)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(transfer, "WINDOW", 0.5)
    return lambda **options: hub.ModelSource("user/name", **{"token": False, **options})


@pytest.fixture
def load(source: Any) -> Load:
    return lambda **options: hfvae.load("user/name", device="cpu", **{"token": False, **options})


def same(loaded: VAE, vae: VAE) -> bool:
    return all(torch.equal(value, loaded.state_dict()[name]) for name, value in vae.state_dict().items())


def cached(tmp_path: Path, name: str) -> Path:
    """The contents of a file in the cache."""
    [link] = (tmp_path / "cache").glob(f"*/snapshots/*/{name}")
    return link.resolve()


@pytest.mark.parametrize("pace", [40_000, 5_000_000])
def test_a_slow_line_is_alive(pace: int, server: HubServer, load: Load, vae: VAE) -> None:
    server.fail("GET /user/.*model.safetensors", Fault(pace=pace))
    assert same(load(), vae)


@pytest.mark.parametrize("name", [hub.CONFIG, hub.WEIGHTS, hub.CARD])
def test_a_line_that_trickles_is_dead(name: str, server: HubServer, source: Any) -> None:
    server.fail(f"GET /user/.*{name}", Fault(pace=10), times=None)
    started = time.monotonic()
    with pytest.raises(hub.DownloadError, match=f"failed to deliver {name}: less than 1,000 bytes a second"):
        source().path(name)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("HEAD /user/.*", Fault(slow=60)),
        ("GET /user/.*", Fault(slow=60)),
        ("GET /user/.*", Fault(cut_off=0)),
    ],
    ids=["head", "get", "empty"],
)
def test_a_silent_line_is_dead(pattern: str, fault: Fault, server: HubServer, load: Load) -> None:
    server.fail(pattern, fault, times=None)
    started = time.monotonic()
    with pytest.raises(hub.DownloadError, match=r"cannot be reached and|failed to deliver config\.json"):
        load()
    assert time.monotonic() - started < 30


def test_a_second_download_waits_for_the_first(server: HubServer, load: Load, vae: VAE) -> None:
    """The lock is held for longer than any time-out."""
    server.fail("GET /user/.*model.safetensors", Fault(pace=40_000), times=None)
    loaded: list[VAE] = []
    threads = [threading.Thread(target=lambda: loaded.append(load())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [same(model, vae) for model in loaded] == [True, True]
    assert sum(request.startswith("GET") and hub.WEIGHTS in request for request in server.requests) == 1


@pytest.mark.parametrize(
    ("pattern", "fault", "sentence"),
    [
        (".* /user/.*safetensors", Fault(announced=30 << 20), "has 31,457,280 bytes or more, over the limit of"),
        (".* /user/.*safetensors", Fault(announced=100 << 30), "over the limit of"),
        (".* /user/.*safetensors", Fault(resized=20 << 20), "over the limit of"),
        ("GET /user/.*safetensors", Fault(resized=20 << 20), "over the limit of"),
        ("HEAD /user/.*safetensors", Fault(headers={"X-Linked-Size": str(100 << 30)}), "over the limit of"),
        ("GET /user/.*config.json", Fault(resized=2 << 20), "over the limit of 1,048,576"),
        ("GET /user/.*safetensors", Fault(headers={"Content-Encoding": "gzip"}), "was sent compressed"),
    ],
    ids=["30 MiB", "100 GiB", "sent", "HEAD lies", "linked", "config", "compressed"],
)
def test_nothing_oversized_is_fetched(
    pattern: str, fault: Fault, sentence: str, server: HubServer, load: Load, tmp_path: Path
) -> None:
    server.fail(pattern, fault, times=None)
    with pytest.raises(hub.DownloadError, match=sentence):
        load()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > 1 << 20]


HOSTILE = [
    {"ETag": '"{outside}/evil.pth"'},
    {"ETag": 'W/"{outside}/evil.pth"'},
    {"ETag": '"../../../outside/evil.pth"'},
    {"ETag": '"..\\..\\..\\outside\\evil.pth"'},
    {"ETag": '".."'},
    {"ETag": "W.."},
    {"ETag": '"' + "a" * 300 + '"'},
    {"X-Linked-Etag": '"{outside}/evil.pth"'},
    {"X-Repo-Commit": "{outside}/evil"},
    {"X-Repo-Commit": "../../../outside"},
]


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("status", [0, 404], ids=["found", "missing"])
@pytest.mark.parametrize("headers", HOSTILE, ids=str)
def test_nothing_is_written_outside_the_cache(
    headers: dict[str, str], status: int, server: HubServer, load: Load, tmp_path: Path
) -> None:
    """The client makes paths of these headers, even of a missing file's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    sent = {name: value.replace("{outside}", str(outside)) for name, value in headers.items()}
    server.fail("HEAD .*", Fault(status=status, error_code="EntryNotFound", headers=sent), times=None)
    before = tree(tmp_path) - tree(tmp_path / "cache")
    with pytest.raises(hub.DownloadError, match="is not a plain name"):
        load()
    assert tree(tmp_path) - tree(tmp_path / "cache") - {tmp_path / "cache"} == before
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))


@pytest.mark.parametrize("etag", ['W/"abc"', "abc", '"d41d8cd98f00b204e9800998ecf8427e-12"', '"v1.0_2"'])
def test_other_plain_names_are_taken(etag: str, server: HubServer, load: Load, vae: VAE) -> None:
    server.fail("HEAD .*config.json", Fault(headers={"ETag": etag}))
    assert same(load(), vae)


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("call", ["load", "config", "card"])
def test_an_expired_token_is_named(call: str, private: bool, server: HubServer, load: Load, source: Any) -> None:
    server.repo("user/name").private = private
    calls: dict[str, Callable[[], object]] = {
        "load": lambda: load(token="hf_expired"),
        "config": lambda: source(token="hf_expired").config(),
        "card": lambda: source(token="hf_expired").path(hub.CARD),
    }
    with pytest.raises(hub.NotFoundError, match="does not accept the access token; it may have expired") as caught:
        calls[call]()
    assert "hf_expired" not in str(caught.value)


def test_without_a_token_a_private_model_is_not_there(server: HubServer, load: Load) -> None:
    server.repo("user/name").private = True
    with pytest.raises(hub.NotFoundError, match="or it is private"):
        load()


@pytest.mark.parametrize("name", [hub.CONFIG, hub.CARD, hub.METRICS])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data.replace(b"1", b"2")]
)
def test_a_damaged_file_in_the_cache_heals(
    damage: Callable[[bytes], bytes], name: str, server: HubServer, source: Any, tmp_path: Path
) -> None:
    """Even one that reads well, as another digit does."""
    server.put("user/name", {hub.METRICS: '{"value": 1}'})
    before = source().path(name).read_bytes()
    cached(tmp_path, name).write_bytes(damage(before))
    with pytest.raises(hub.DownloadError, match=f"{name} in the cache is damaged, and we are offline"):
        source(local_files_only=True).path(name)
    assert source().path(name).read_bytes() == before
    assert source(local_files_only=True).path(name).read_bytes() == before


def test_damaged_weights_in_the_cache(server: HubServer, load: Load, vae: VAE, tmp_path: Path) -> None:
    load()
    cached(tmp_path, hub.WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(hub.DownloadError, match=r"model.safetensors in the cache is damaged, and we are offline"):
        load(local_files_only=True)
    assert same(load(), vae)


def test_the_hub_learns_who_asks(server: HubServer, load: Load) -> None:
    load()
    assert {agent.split(";")[0] for agent in server.agents} == {f"hfvae/{__version__}"}
    server.agents.clear()
    TINY["dense"]().push_to_hub("user/other", token="hf_user")
    assert all(agent.startswith(f"hfvae/{__version__}; hf_hub/") for agent in server.agents)


# What the hub may do to a pull: what is said, or that it heals


HEALS = [
    ("HEAD .*config.json", 503, 2),
    ("GET /user/.*config.json", 503, 2),
    ("GET /user/.*model.safetensors", 503, 2),
    ("GET /user/.*model.safetensors", Fault(cut_off=1000), 2),
    ("GET /user/.*model.safetensors", Fault(resized=-7), 2),
    ("GET /user/.*model.safetensors", Fault(resized=7), 2),
    ("GET /user/.*model.safetensors", Fault(flipped_bit=True), 1),
    ("GET /user/.*config.json", Fault(slow=0.5), 1),
    ("HEAD .*config.json", Fault(lost=True), 1),
    ("GET /user/.*model.safetensors", Fault(lost=True), 1),
    ("HEAD .*model.safetensors", Fault(html=True), 1),
]


@pytest.mark.parametrize(("pattern", "fault", "times"), HEALS, ids=str)
def test_passing_faults_heal(
    pattern: str, fault: Fault | int, times: int, server: HubServer, load: Load, vae: VAE
) -> None:
    server.fail(pattern, fault, times=times)
    assert same(load(), vae)


LASTS = [
    ("HEAD .*config.json", 503, hub.DownloadError, "answers 503"),
    ("GET /user/.*config.json", 503, hub.DownloadError, "failed to deliver config.json"),
    ("GET /user/.*model.safetensors", 500, hub.DownloadError, "failed to deliver model.safetensors"),
    ("GET /user/.*model.safetensors", Fault(cut_off=1000), hub.DownloadError, "failed to deliver model.safetensors"),
    ("GET /user/.*model.safetensors", Fault(resized=-7), hub.DownloadError, "failed to deliver model.safetensors"),
    ("GET /user/.*model.safetensors", Fault(flipped_bit=True), hub.WeightsError, "was downloaded twice"),
    ("HEAD .*config.json", Fault(lost=True), hub.DownloadError, "failed to deliver config.json"),
    ("HEAD .*config.json", Fault(slow=60), hub.DownloadError, "cannot be reached and config.json is not in the cache"),
    ("GET /user/.*model.safetensors", Fault(slow=60), hub.DownloadError, "model.safetensors"),
    ("HEAD .*config.json", 401, hub.NotFoundError, "log in"),
    ("HEAD .*config.json", 403, hub.NotFoundError, "log in"),
    ("HEAD .*config.json", Fault(html=True), hub.DownloadError, "cannot be reached"),
]


@pytest.mark.parametrize(("pattern", "fault", "error", "sentence"), LASTS, ids=str)
def test_lasting_faults_are_said(
    pattern: str, fault: Fault | int, error: type[hub.HubError], sentence: str, server: HubServer, load: Load
) -> None:
    server.fail(pattern, fault, times=None)
    started = time.monotonic()
    with pytest.raises(error, match=f"^user/name.*{sentence}"):
        load()
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("user/nothing", {}, "is not on .*, or it is private"),
        ("user/name", {"revision": "v9"}, "no revision 'v9'"),
        ("user/empty", {}, "has no config.json"),
        ("user/gated", {}, "is gated"),
        ("user/private", {}, "or it is private"),
    ],
)
@pytest.mark.usefixtures("source")
def test_what_is_not_there(name: str, options: dict[str, Any], sentence: str, server: HubServer) -> None:
    server.add_repo("user/empty")
    server.add_repo("user/gated", gated=True)
    server.add_repo("user/private", private=True)
    with pytest.raises(hub.NotFoundError, match=f"^{name}.*{sentence}"):
        hfvae.load(name, token=False, **options)


def test_no_network_and_a_cold_cache(server: HubServer, load: Load) -> None:
    server.close()
    with pytest.raises(hub.DownloadError, match="cannot be reached"):
        load()
    with pytest.raises(hub.NotFoundError, match="we are offline"):
        load(local_files_only=True)


def test_no_network_and_a_warm_cache(server: HubServer, load: Load, vae: VAE) -> None:
    load()
    server.close()
    assert same(load(), vae)
    assert same(load(local_files_only=True), vae)


@pytest.mark.usefixtures("source")
def test_a_pickle_is_never_read(server: HubServer) -> None:
    config = server.files("user/name")[hub.CONFIG]
    server.put("user/pickled", {hub.CONFIG: config, "pytorch_model.bin": b"\x80\x04"})
    with pytest.raises(hub.NotFoundError, match=r"has no model\.safetensors"):
        hfvae.load("user/pickled", token=False)
    assert not [request for request in server.requests if "pytorch_model.bin" in request]
