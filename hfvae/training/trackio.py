"""A Lightning logger for Trackio, the hub's experiment tracker, for which Lightning has none."""

from __future__ import annotations

import importlib.util
import io
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from PIL import Image

from .callbacks import log_figure


class TrackioLogger(Logger):
    """Logs to a Trackio project: ``--trainer.logger hfvae.training.TrackioLogger --trainer.logger.project mnist``.

    Args:
        project: the project.
        name: the run's name; None lets Trackio choose one.
        options: keyword arguments of ``trackio.init``, such as ``space_id``.

    Raises:
        ModuleNotFoundError: trackio is not installed.
    """

    def __init__(self, project: str = "hfvae", name: str | None = None, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        if importlib.util.find_spec("trackio") is None:
            raise ModuleNotFoundError("TrackioLogger needs trackio: pip install trackio")
        self._project, self._name, self._options = project, name, dict(options or {})
        self._run: Any = None
        self._finished = False
        self._hyperparameters: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self._project

    @property
    def version(self) -> str | None:
        return self._name

    @property
    def run(self) -> Any:
        """Trackio's run, begun when it is first needed, and resumed for a validation after the training."""
        import trackio  # type: ignore[import-not-found,import-untyped,unused-ignore]

        if self._run is None:
            options = {**self._options, "resume": "allow"} if self._finished else self._options
            self._run = trackio.init(project=self._project, name=self._name, config=self._hyperparameters, **options)
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        given = vars(params) if isinstance(params, Namespace) else params
        self._hyperparameters.update({name: str(value) for name, value in given.items() if name[0] != "_"})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.run.log(dict(metrics), step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._run is not None:
            self._run.finish()
            self._name, self._run, self._finished = self._run.name, None, True


@log_figure.register
def _trackio(logger: TrackioLogger, name: str, figure: Figure, step: int) -> None:
    import trackio  # type: ignore[import-not-found,import-untyped,unused-ignore]

    picture = io.BytesIO()
    figure.savefig(picture)
    logger.run.log({name: trackio.Image(Image.open(picture))}, step=step)
