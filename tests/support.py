"""What several tests share: tiny models, trainings and apps in processes of their own, a real Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hfvae import VAE, ConvVAE, DenseVAE, generate
from hfvae.networks import ResidualBlock

REPOSITORY = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"


def residual(**options: Any) -> ConvVAE:
    """With blocks that are not the identity, as they are when new."""
    vae = ConvVAE(channels=[2, 4], blocks=1, **{"hidden_features": [16], "latent_dim": 3, **options})
    for block in vae.modules():
        if isinstance(block, ResidualBlock):
            block[3].reset_parameters()
    return vae


TINY: dict[str, Callable[..., VAE]] = {
    "dense": lambda **options: DenseVAE(**{"hidden_features": [16], "latent_dim": 2, **options}),
    "conv": lambda **options: ConvVAE(channels=[2, 4], **{"hidden_features": [16], "latent_dim": 3, **options}),
    "residual": residual,
}
LIKELIHOOD_TYPES = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Laplace"]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]
MEASURED: dict[str, str] = {}
"""The environment of a process that coverage measures: the app, a hub's client."""


def missing(what: str) -> None:
    """Skip, or fail where nothing may be missing."""
    if os.environ.get("HFVAE_NO_SKIPS") == "1":
        pytest.fail(f"{what}, and HFVAE_NO_SKIPS=1 forbids skipping")
    pytest.skip(what)


def for_training(mnist_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a process that trains on this MNIST, with callbacks of the tests' own."""
    ours = {"HFVAE_DATA_DIR": str(mnist_dir), "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **ours, **more}


def chromium() -> str | None:
    """Where Chromium is."""
    return os.environ.get("HFVAE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def copy_repository(target: Path) -> Path:
    """The repository's files in an existing folder, as a clone has them, without what tests and runs leave there."""
    junk = shutil.ignore_patterns("__pycache__", "MNIST", "reconstructions.png")
    for path in REPOSITORY.iterdir():
        if path.name in ("hfvae", "configs", "docs", "tests", "train"):
            shutil.copytree(path, target / path.name, ignore=junk)
        elif path.is_file():
            shutil.copy(path, target)
    return target


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium that phones nobody."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


def returning(page: Any) -> Any:
    """A page of somebody who has been there: no tour opens, and no example draws itself."""
    page.set_default_timeout(90_000)  # a machine may be busy
    page.emulate_media(reduced_motion="reduce")
    page.add_init_script("localStorage.setItem('hfvae-tour', 'closed')")
    return page


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_served(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}: {log.read_text()}")


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {http}
  server {{
    listen 127.0.0.1:{port}; client_body_buffer_size 1m;
    location = /favicon.ico {{ return 204; }}
    location /vae/ {{
      proxy_pass http://{upstream}/; proxy_buffering off; proxy_http_version 1.1;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
      {location}
    }}
  }}
}}
"""


@contextmanager
def behind_nginx(folder: Path, upstream: str, http: str = "", location: str = "") -> Iterator[str]:
    """The address at which an nginx shows an upstream under /vae; `http` and `location` add lines to its blocks."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        missing("no nginx on the PATH")
    port, log, settings = free_port(), folder / "error.log", folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, upstream=upstream, port=port, http=http, location=location))
    process = subprocess.Popen([str(nginx), "-e", str(log), "-c", str(settings)])
    try:
        wait_until_served(f"http://127.0.0.1:{port}/vae/", process, log)
        yield f"http://127.0.0.1:{port}/vae/"
    finally:
        process.terminate()
        process.wait(20)


class App:
    """`python app.py`, or another script that serves it, in a process of its own."""

    def __init__(
        self,
        log: Path,
        *arguments: str,
        script: Path = REPOSITORY / "app.py",
        port: int | None = None,
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = log
        command = [sys.executable, str(script), "--port", str(self.port), *arguments]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **MEASURED, **environment}
            )
        try:
            wait_until_served(self.url, self.process, log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def widget_call(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a call that the page makes, given the app's /config, with some of its entries changed."""
    [draw] = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "draw-widget"]
    call = {"component_id": draw, "fn_name": "decode", "session_hash": "x"}
    return {**call, "data": {"model": "mnist-dense-2d", "z": [[0, 0]]}, **changes}


def close(shown: list[int], vae: VAE, z: list[float]) -> bool:
    """Whether a picture on the page is that of a latent point, as Python decodes it, to a grey level."""
    expected = (generate(vae, z=torch.tensor([z], dtype=torch.float32)).flatten() * 255).round()
    return bool(((torch.tensor(shown) - expected).abs() <= 1).all())
