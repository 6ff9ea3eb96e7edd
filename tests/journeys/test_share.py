"""Somebody trains, measures and publishes a model; others load it, also offline; a second push loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from support import REPOSITORY, App

from hfvae import hub
from hfvae.evaluation import plots, principal_axes

LOAD = """
from hfvae import ConvVAE
vae = ConvVAE.from_pretrained("user/name", revision="v1")
print(vae.latent_dim, vae.training)
"""

PUSH_AGAIN = """
from hfvae import ConvVAE
print(ConvVAE.from_pretrained("user/name", revision="v1").push_to_hub("user/name"))
"""


@pytest.mark.mnist
@pytest.mark.browser
@pytest.mark.timeout(900)
def test_fit_evaluate_push_load_show(few_digits: Path, browser: Any, tmp_path: Path) -> None:
    with HubServer() as server:
        environment = {
            **server.env(tmp_path / "home", "hf_user"),
            "HFVAE_DATA_DIR": str(few_digits),
            "PYTHONPATH": str(REPOSITORY),
        }

        def python(*arguments: str, **more: str) -> str:
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env={**environment, **more},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        def script(name: str, *arguments: str) -> str:
            return python(str(REPOSITORY / "train" / name), *arguments)

        recipe = str(REPOSITORY / "configs" / "mnist_conv.yaml")
        small = ["channels=[4,8]", "hidden_features=[32]", 'prior_options={"blocks": 2, "features": 16}']
        small = [f"--model.vae.init_args.{setting}" for setting in small]
        printed = script(
            "fit.py", "--config", recipe, "--trainer.max_epochs=1", "--trainer.limit_train_batches=50", *small
        )
        folder = "runs/mnist_conv/pretrained"
        assert f"python train/evaluate.py --model {folder}" in printed

        printed = script("evaluate.py", "--model", folder, "--num_samples", "2")
        assert f"python train/push.py --model {folder}" in printed
        check_metrics(tmp_path / folder)

        assert "Sent to" in script("push.py", "--model", folder, "--repo_id", "user/name", "--tag", "v1")
        assert {"metrics.json", "training.json", "figures/latents.png"} <= set(server.files("user/name"))

        script("evaluate.py", "--model", "user/name", "--num_samples", "1")
        check_metrics(tmp_path / "runs" / "user--name", samples=1)

        before = server.files("user/name")
        assert python("-c", PUSH_AGAIN).startswith("http")
        after = server.files("user/name")
        assert {name: after[name] for name in before} == before, (
            "a push of the same model keeps what was measured on it"
        )
        with (tmp_path / folder / "README.md").open("a") as card:
            card.write("\nWritten by hand.\n")
        script("push.py", "--model", folder, "--repo_id", "user/name")
        python("-c", PUSH_AGAIN)
        assert {**server.files("user/name"), "README.md": b""} == {**before, "README.md": b""}
        assert b"Written by hand." in server.files("user/name")["README.md"]

        fresh = {"HF_HOME": str(tmp_path / "another machine"), "HF_TOKEN": ""}
        assert python("-c", LOAD, **fresh) == "32 False\n"
        show(browser, tmp_path, {**environment, **fresh})
        server.close()
        offline = {**fresh, "HF_HUB_OFFLINE": "1"}
        assert python("-c", LOAD, **offline) == "32 False\n"
        show(browser, tmp_path, {**environment, **offline})


def show(browser: Any, tmp_path: Path, environment: dict[str, str]) -> None:
    app = App(tmp_path / "log", "--model", "user/name", **environment)
    page = browser.new_page()
    page.goto(app.url)
    page.wait_for_function("document.documentElement.dataset.ready")
    assert page.locator("#model option").count() == 1
    page.close()
    app.stop()


def check_metrics(folder: Path, samples: int = 2) -> None:
    record = json.loads((folder / hub.METRICS).read_text())
    assert record["weights_sha256"] == hub.sha256(folder / hub.WEIGHTS)
    assert set(record["versions"]) == {"hfvae", "torch", "python"}
    metrics = record["metrics"]
    values = {name: metric["value"] for name, metric in metrics.items()}
    assert values["elbo"] == pytest.approx(-values["rate"] - values["distortion"])
    assert values["latent_kl"] is None, "a learned prior does not factorise over the latents"
    assert metrics["elbo"]["standard_error"] > 0
    assert 0 <= values["clear_draws"] <= 1
    assert -values["nll"] > values["elbo"] - 5
    assert 0.1 < values["knn_accuracy"] <= 1
    assert 0.1 < values["probe_accuracy"] <= 1
    assert 0 <= values["active_units"] <= 32
    assert f"{samples} samples" in metrics["nll"]["protocol"]
    for metric in metrics.values():
        assert metric["protocol"], "no number without its protocol"
    figures = {path.name for path in (folder / hub.FIGURES).iterdir()}
    assert figures == {"reconstructions.png", "samples.png", "latents.png", "traversals.png"}
    assert "| ELBO |" in (folder / hub.CARD).read_text()
    latents = hub.ModelSource(folder).latents()
    assert plots.latent_scatter(principal_axes(latents.mean).project(latents.mean), latents.labels).axes
