"""What can go wrong between a model and a folder or a hub; each message says where, what happened and what to try."""

from __future__ import annotations


class HubError(Exception):
    """Base class: a model cannot be loaded, saved or published."""


class NotFoundError(HubError):
    """The folder, repository, revision or file does not exist, or this token may not see it."""


class DownloadError(HubError):
    """The hub did not answer, or its answer was incomplete."""


class ConfigError(HubError):
    """A config.json that describes no model of this project."""


class WeightsError(HubError):
    """Tensors that are missing, damaged, or do not fit the config."""


class CardError(HubError):
    """A README.md that cannot be parsed as a model card."""


class PushError(HubError):
    """A push that was refused; the message says by whom, why, and whether anything was sent."""
