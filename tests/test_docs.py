"""The documentation's site builds, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, missing


@pytest.mark.timeout(300)
def test_the_site_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if "No module named mkdocs" in done.stderr:
        missing("mkdocs is not installed")
    assert done.returncode == 0, done.stdout + done.stderr
    api = (tmp_path / "api" / "index.html").read_text()
    for name in ("hfvae.models.ConvVAE", "hfvae.inference.reconstruct", "hfvae.probability.priors.FlowPrior"):
        assert f'id="{name}"' in api
