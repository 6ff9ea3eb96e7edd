"""Push and pull over HTTP with the real client, as users run them, against a hub on the loopback; faults included."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hub_server import Fault, HubServer
from huggingface_hub import constants
from support import MEASURED, REPOSITORY, TINY

from hfvae import VAE, hub
from hfvae.cli import push as push_script

TOKEN = "hf_user"
LOAD = """
import sys, time, hfvae
from hfvae.hub import HubError
started = time.monotonic()
options = dict(pair.split("=") for pair in sys.argv[2:])
try:
    vae = hfvae.load(sys.argv[1], device="cpu", **options)
    print("loaded", type(vae).__name__, sum(p.detach().double().sum().item() for p in vae.parameters()))
except HubError as error:
    print(type(error).__name__, error)
print("after", time.monotonic() - started, "seconds")
"""
Run = Callable[..., str]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def vae() -> VAE:
    return TINY["conv"]()


@pytest.fixture
def folder(vae: VAE, tmp_path: Path) -> Path:
    """An evaluated model's folder: as train/evaluate.py leaves it, without the time it takes."""
    folder = tmp_path / "model"
    vae.save_pretrained(folder)
    hub.write_latents(folder, hub.Latents(torch.randn(10, 3), torch.arange(10)))
    sha256 = hub.sha256(folder / hub.WEIGHTS)
    elbo = '{"name": "ELBO", "value": 1.5, "unit": "nats per image", "protocol": "none"}'
    versions = '{"hfvae": "0", "torch": "0"}'
    (folder / hub.METRICS).write_text(
        f'{{"weights_sha256": "{sha256}", "command": "c", "versions": {versions}, "metrics": {{"elbo": {elbo}}}}}'
    )
    (folder / hub.FIGURES).mkdir()
    (folder / hub.FIGURES / "samples.png").write_bytes(b"\x89PNG")
    hub.write_card(folder, vae.facts())
    return folder


@pytest.fixture
def run(server: HubServer, tmp_path: Path) -> Run:
    """Runs Python in a process with this hub and its own cache; returns what it printed."""

    def run(*arguments: str | Path, token: str | None = None, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**server.env(tmp_path / "home", token), **MEASURED, "PYTHONPATH": str(REPOSITORY), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        output = done.stdout + done.stderr
        assert "Traceback" not in output, output
        assert TOKEN not in output, "a token is never shown"
        return output

    return run


@pytest.fixture
def push(run: Run, folder: Path) -> Run:
    def push(*arguments: str, token: str | None = TOKEN, **environment: str) -> str:
        script = REPOSITORY / "train" / "push.py"
        return run(script, "--model", folder, "--repo_id", "user/name", *arguments, token=token, **environment)

    return push


@pytest.fixture
def load(run: Run) -> Run:
    return lambda *arguments, **options: run("-c", LOAD, *(arguments or ("user/name",)), **options)


def loaded(vae: VAE) -> str:
    return f"loaded ConvVAE {sum(p.detach().double().sum().item() for p in vae.parameters())}"


# The story


def test_push_then_pull(server: HubServer, push: Run, load: Run, vae: VAE, folder: Path) -> None:
    printed = push("--tag", "v1")
    assert f"Sent to {server.url}/user/name/tree/v1" in printed
    assert "model.safetensors" in printed
    sent = server.files("user/name")
    assert set(sent) - {".gitattributes"} == {
        "config.json",
        "model.safetensors",
        "latents.safetensors",
        "metrics.json",
        "README.md",
        "figures/samples.png",
    }
    assert sent["model.safetensors"] == (folder / hub.WEIGHTS).read_bytes()
    assert len(server.commits("user/name")) == 2, "the hub's own first commit, and one of ours"
    assert b'hfvae.load("user/name")' in sent["README.md"]
    assert b"model-index" in sent["README.md"]
    for arguments in (["user/name"], ["user/name", "revision=v1"]):
        assert loaded(vae) in load(*arguments)
    server.close()
    assert loaded(vae) in load(HF_HUB_OFFLINE="1"), "a warm cache is enough"
    assert loaded(vae) in load("user/name", "local_files_only=1")


def test_a_push_leaves_the_folder_as_it_is(server: HubServer, push: Run, folder: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
    assert b"user/name" in before[folder / hub.CARD][0], "the placeholder"
    push("--repo_id", "user/other")
    assert b'hfvae.load("user/other")' in server.files("user/other")["README.md"]
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_pull_asks_for_config_and_weights_alone(server: HubServer, push: Run, load: Run) -> None:
    push()
    server.requests.clear()
    load()
    resolved = [request for request in server.requests if "/resolve/" in request]
    assert resolved == [
        f"{verb} /user/name/resolve/main/{name}" for name in (hub.CONFIG, hub.WEIGHTS) for verb in ("HEAD", "GET")
    ]


def test_a_branch_and_a_private_repository(server: HubServer, push: Run, load: Run, vae: VAE, tmp_path: Path) -> None:
    push("--private", "--revision", "next", "--message", "mine")
    assert server.repo("user/name").private
    assert server.commits("user/name", "next")[0].title == "mine"
    assert hub.WEIGHTS not in server.files("user/name")
    assert loaded(vae) in load("user/name", "revision=next", token=TOKEN)
    assert "or it is private" in load("user/name", "revision=next", HF_HOME=str(tmp_path / "other"))


def test_pushing_again_changes_nothing_or_adds_one_commit(server: HubServer, push: Run, folder: Path) -> None:
    push()
    push()
    assert len(server.commits("user/name")) == 2
    card = folder / hub.CARD
    card.write_text(card.read_text() + "\nMy own words.\n")
    push()
    assert len(server.commits("user/name")) == 3
    assert b"My own words." in server.files("user/name")["README.md"]


def test_push_to_hub_in_code(server: HubServer, run: Run, load: Run, vae: VAE, folder: Path) -> None:
    code = "import sys, hfvae; vae = hfvae.load(sys.argv[1], device='cpu'); print(vae.push_to_hub(sys.argv[2]{}))"
    assert f"{server.url}/user/bare" in run("-c", code.format(""), folder, "user/bare", token=TOKEN)
    assert hub.METRICS not in server.files("user/bare")
    run("-c", code.format(", folder=sys.argv[1]"), folder, "user/full", token=TOKEN)
    assert hub.METRICS in server.files("user/full")
    with pytest.raises(hub.WeightsError, match="another model than this one"):
        TINY["conv"]().push_to_hub("user/other", folder=folder)
    for repo in ("user/bare", "user/full"):
        assert loaded(vae) in load(repo)


AGAIN = """
import sys, torch, hfvae
vae = hfvae.load(sys.argv[1], device="cpu")
if "other" in sys.argv[2:]:
    torch.nn.init.normal_(next(vae.parameters()))
print(vae.push_to_hub(sys.argv[1]))
"""


def test_pushing_a_loaded_model_again_keeps_what_was_measured(server: HubServer, push: Run, run: Run) -> None:
    push()
    exported = json.dumps({"weights_sha256": hashlib.sha256(server.files("user/name")[hub.WEIGHTS]).hexdigest()})
    server.put("user/name", {"onnx/encoder.onnx": b"1", "onnx/export.json": exported.encode()})
    before = server.files("user/name")
    run("-c", AGAIN, "user/name", token=TOKEN)
    after = server.files("user/name")
    assert {hub.METRICS, hub.LATENTS, "figures/samples.png", "onnx/encoder.onnx"} <= set(after)
    for name in set(before) - {hub.CARD}:
        assert after[name] == before[name], name
    assert b"Not evaluated" not in after[hub.CARD]
    assert b"figures/samples.png" in after[hub.CARD]


def test_pushing_other_weights_removes_what_was_measured(server: HubServer, push: Run, run: Run, load: Run) -> None:
    push()
    server.put("user/name", {"onnx/encoder.onnx": b"1", "onnx/export.json": b"{}"})
    commits = len(server.commits("user/name"))
    run("-c", AGAIN, "user/name", "other", token=TOKEN)
    assert set(server.files("user/name")) == {".gitattributes", hub.CARD, hub.CONFIG, hub.WEIGHTS}
    assert b"Not evaluated" in server.files("user/name")[hub.CARD]
    assert len(server.commits("user/name")) == commits + 1, "in the same commit"
    assert load().startswith("loaded")


def test_a_bare_name_is_the_users(server: HubServer, run: Run, load: Run, vae: VAE, folder: Path) -> None:
    code = "import sys, hfvae; print(hfvae.load(sys.argv[1], device='cpu').{})"
    assert f"{server.url}/user/bare" in run("-c", code.format("push_to_hub('bare')"), folder, token=TOKEN)
    assert b'hfvae.load("user/bare")' in server.files("user/bare")[hub.CARD]
    saved = str(folder.parent / "saved")
    run("-c", code.format(f"save_pretrained({saved!r}, push_to_hub=True)"), folder, token=TOKEN)
    for repo in ("user/bare", "user/saved"):
        assert loaded(vae) in load(repo)


def test_what_was_made_before_a_failure_is_said(server: HubServer, push: Run) -> None:
    server.fail("POST /api/models/user/name/branch/.*", 403, times=None)
    printed = push("--revision", "next")
    assert "the repository was created, and nothing was sent to it" in printed
    assert "nothing was sent\n" in push("--revision", "next")
    server.fail("POST /api/spaces/user/demo/variables", 403, times=None)
    assert "the repository was created, and nothing was sent to it" in push("--space", "user/demo")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--space", "a/b/c"], "no repository name like user/name"),
        (["--space", "other/demo"], "may create repositories of user only"),
        (["--space", "user/demo", "--private"], "exists and is public, but private was asked for"),
        (["--space", "user/demo", "--revision", "next"], "a Space loads the main branch"),
    ],
)
def test_a_space_that_cannot_be_sent_stops_the_push_of_its_model(
    arguments: list[str], sentence: str, server: HubServer, push: Run
) -> None:
    server.add_repo("user/demo", repo_type="space")
    assert sentence in push(*arguments)
    assert not [request for request in server.requests if request.startswith(("POST", "PUT"))], (
        "nothing was created or sent"
    )


# Nothing is sent that is not in order


def spoil_weights(folder: Path) -> None:
    data = bytearray((folder / hub.WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / hub.WEIGHTS).write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / hub.METRICS).unlink(), "no metrics.json, .* run python train/evaluate.py"),
        (lambda folder: (folder / hub.METRICS).write_text("{}"), "not what python train/evaluate.py .* writes"),
        (lambda folder: (folder / hub.METRICS).write_text('{"weights_sha256": "0"}'), "of other weights"),
        (lambda folder: TINY["conv"]().save_pretrained(folder), "no latent codes for these weights"),
        (spoil_weights, "SHA-256 differs"),
        (lambda folder: (folder / hub.CONFIG).write_text("{}"), "names no model_class"),
        (lambda folder: (folder / hub.CONFIG).write_text('{"model_class": "X"}'), "known classes are"),
        (lambda folder: (folder / hub.CARD).unlink(), "README.md"),
        (lambda folder: (folder / hub.CARD).write_text("# hello"), "no front matter"),
        (lambda folder: (folder / hub.CARD).write_text("---\ntags: []\n---\n"), "names no license"),
        (lambda folder: (folder / hub.CARD).write_text("---\n{:\n---\n"), "front matter cannot be read"),
        (lambda folder: (folder / hub.LATENTS).write_bytes(b"x" * 100), "SHA-256 differs"),
    ],
)
def test_local_faults_stop_a_push(
    spoil: Callable[[Path], object],
    sentence: str,
    server: HubServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(folder)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(sys, "argv", ["push.py", "--model", str(folder), "--repo_id", "user/name"])
    with pytest.raises(SystemExit):
        push_script.main()
    printed = "".join(capsys.readouterr())
    assert re.search(sentence, printed)
    assert TOKEN not in printed
    assert server.requests == [], "the hub heard nothing of it"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--repo_id", "a/b/c"], "no repository name like user/name"),
        (["--model", "user/elsewhere"], "is not a folder"),
    ],
)
def test_bad_arguments_stop_a_push(arguments: list[str], sentence: str, server: HubServer, push: Run) -> None:
    assert sentence in push(*arguments)
    assert server.requests == []


# What the hub may do to a push: (fault, what is said)


@pytest.mark.parametrize(
    ("pattern", "fault", "sentence"),
    [
        ("POST /api/repos/create", 401, "does not accept the token"),
        ("POST /api/repos/create", 403, "may not write there"),
        ("POST /api/repos/create", 503, "answered 503"),
        ("POST /api/repos/create", Fault(html=True), "not the hub's"),
        ("POST /api/models/user/name/commit/.*", 403, "may not write there"),
        ("POST /api/models/user/name/tag/.*", 500, "arrived as commit .* without the tag"),
    ],
)
def test_a_hub_that_refuses_a_push(
    pattern: str, fault: Fault | int, sentence: str, server: HubServer, push: Run
) -> None:
    server.fail(pattern, fault, times=None)
    printed = push("--tag", "v1")
    assert re.search(sentence, printed), printed
    assert "user/name" in printed


def test_no_token(server: HubServer, push: Run) -> None:
    assert "log in" in push(token=None)


def test_somebody_elses_repository(server: HubServer, push: Run) -> None:
    assert "this token may create repositories of user only" in push("--repo_id", "other/name")
    server.add_repo("other/name")
    assert "may not write there" in push("--repo_id", "other/name")


def test_visibility_is_never_changed_silently(server: HubServer, push: Run) -> None:
    server.add_repo("user/name")
    assert "exists and is public, but private was asked for" in push("--private")
    assert len(server.commits("user/name")) == 1


def test_a_tag_is_never_moved(server: HubServer, push: Run) -> None:
    push("--tag", "v1")
    assert "has a tag v1 already" in push("--tag", "v1")


@pytest.mark.parametrize("xet", ["0", "1"])
@pytest.mark.parametrize("fault", [Fault(lost=True), 503], ids=["lost answer", "503"])
def test_a_commit_is_tried_again_and_made_once(
    fault: Fault | int, xet: str, server: HubServer, push: Run, load: Run, vae: VAE
) -> None:
    server.fail("POST /api/models/user/name/commit/.*", fault)
    assert "Sent to" in push(HF_HUB_DISABLE_XET=xet)
    assert len(server.commits("user/name")) == 2
    assert loaded(vae) in load()


def test_a_commit_that_never_goes_through(server: HubServer, push: Run) -> None:
    server.fail("POST /api/models/user/name/commit/.*", 503, times=None)
    printed = push(HF_HUB_DISABLE_XET="1")
    assert "answered 503" in printed
    assert "may or may not have arrived; run the same command again" in printed
    server.heal()
    assert "Sent to" in push()
    assert len(server.commits("user/name")) == 2


# What the hub may do to a pull: what is said, or that it heals


@pytest.fixture
def published(server: HubServer, folder: Path) -> HubServer:
    server.put("user/name", {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    return server


def test_a_client_of_the_users_own_is_used(published: HubServer, run: Run, vae: VAE) -> None:
    """Such as one that knows a company's proxy."""
    code = """
import huggingface_hub, hfvae
from hfvae.hub.transfer import httpx
client = httpx.Client(headers={"User-Agent": "mine"}, follow_redirects=True)
huggingface_hub.set_client_factory(lambda: client)
hfvae.load("user/name", device="cpu")
assert huggingface_hub.get_session() is client
"""
    assert run("-c", code) == ""


# The app


@pytest.mark.browser
def test_the_app_takes_models_from_the_hub(published: HubServer, browser: object, tmp_path: Path) -> None:
    from support import App

    environment = {**published.env(tmp_path / "home"), "HFVAE_MODELS": "user/name, user/nothing"}
    app = App(tmp_path / "log", **{name: value for name, value in environment.items() if os.environ.get(name) != value})
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready")
    assert page.locator("#model option").all_inner_texts() == ["user/name · 3 latents · ContinuousBernoulli"]
    page.get_by_text("user/nothing is not on").wait_for()
    page.close()
    app.stop()
