"""Somebody clones the repository, installs its requirements, starts the app and uses the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from walk import clean_environment, served, visitor, walk


@pytest.mark.browser
@pytest.mark.timeout(1200)
def test_the_app_of_a_clone(clone: Path, install: Callable[..., str], browser: Any, tmp_path: Path) -> None:
    python = install("-r", clone / "requirements.txt")
    environment = clean_environment(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "home"))
    with served([python, "app.py"], clone, environment) as url, visitor(browser, url) as person:
        walk(person, models=3)
