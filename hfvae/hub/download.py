"""Read a model from a folder, the bundled models or a hub repository, and check its files.

Every failure is a `HubError` that names the model, what happened and what to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.sha import git_hash
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..datasets import DATASETS, DEFAULT_DATASET, MAX_CLASSES, TrainingData
from ..version import __version__, command
from .errors import ConfigError, DownloadError, HubError, NotFoundError, WeightsError
from .layout import CONFIG, LATENTS, REPO_ID, WEIGHTS, Config, Latents, find_folder, read_config, sha256
from .transfer import NoAnswer, Transfer, httpx, watching

MAX_CODES = 100_000
MAX_LATENTS_BYTES = 1 << 28
"""Largest file of latent codes to download; 100,000 codes of 1,000 latents have 200 MB."""
MAX_TEXT_BYTES = 1 << 20
"""Largest config, card or figure to download."""
CLIENT: dict[str, Any] = {"library_name": "hfvae", "library_version": __version__}
"""For the user agent of all requests to a hub."""
_PAUSES = (0.5, 1.5, 4.0)  # seconds between the attempts of a download
_RETRY_UNTIL = 10.0  # seconds after which a failed download is not tried again


class ModelSource:
    """A model folder, a bundled model or a hub repository.

    Args:
        name_or_path: a folder, a bundled model's name, or ``user/name``; tried in this order.
        revision, token, cache_dir, force_download, local_files_only: as in ``huggingface_hub.hf_hub_download``.

    Raises:
        NotFoundError: neither a folder nor a valid repo id.
    """

    def __init__(
        self,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> None:
        self.name = str(name_or_path)
        self.revision = revision
        self.folder = find_folder(name_or_path)
        self._options: dict[str, Any] = {
            "token": token,
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
        }
        self._config: Config | None = None
        if self.folder is not None and revision is not None:
            raise NotFoundError(f"{self.name} is a folder and has no revision {revision!r}: leave revision None")
        if self.folder is None and not REPO_ID.fullmatch(self.name):
            raise NotFoundError(f"{self.name}: there is no such folder, and it is no repo id like user/name")

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name} (revision {self.revision})"

    def config(self) -> Config:
        """The contents of config.json."""
        if self._config is None:
            self._config = read_config(self.path(CONFIG), str(self))
        return self._config

    def training_record(self) -> TrainingData | None:
        """Data set and pixel preprocessing of the training; None if the config does not say."""
        return parse_record(self.config().data, str(self))

    def weights(self, most_bytes: int | None = None) -> dict[str, Tensor]:
        """The weights, checked against the checksum in the config; at most `most_bytes` are downloaded."""
        return self._tensors(WEIGHTS, most_bytes)

    def latents(self) -> Latents:
        """The latent codes of the test set, if they belong to these weights."""
        if not self.has_latents():
            raise NotFoundError(f"{self} has no latent codes for these weights: {command('evaluate')} writes them")
        tensors = self._tensors(LATENTS, MAX_LATENTS_BYTES)
        mean, labels = tensors.get("mean"), tensors.get("labels")
        if mean is None or labels is None or mean.ndim != 2 or labels.shape != mean.shape[:1]:
            raise WeightsError(f"{self}: {LATENTS} does not hold mean (N, latent_dim) and labels (N,)")
        record = self.training_record()
        classes = len((record.dataset if record else DATASETS[DEFAULT_DATASET]).class_names) or MAX_CLASSES
        known = len(mean) > 0 and 0 <= labels.min() <= labels.max() < classes
        if not 1 <= len(mean) <= MAX_CODES or not mean.isfinite().all() or not known:
            raise WeightsError(f"{self}: {LATENTS} must hold 1 to {MAX_CODES:,} finite codes of {classes} classes")
        elbo = tensors.get("elbo")
        if elbo is not None and (elbo.shape != labels.shape or not elbo.isfinite().all()):
            raise WeightsError(f"{self}: {LATENTS} must hold a finite elbo for each of its {len(labels):,} codes")
        places = tensors.get("places")
        if places is not None and (places.shape != (len(labels), 2) or not (places.abs() <= 1).all()):
            raise WeightsError(f"{self}: {LATENTS} must hold two coordinates in [-1, 1] for each code as its places")
        return Latents(
            mean.float(),
            labels.long(),
            None if elbo is None else elbo.float(),
            None if places is None else places.float(),
        )

    def has_latents(self) -> bool:
        """Whether there are latent codes for these weights; saving other weights invalidates them."""
        return LATENTS in self.checksums()

    def checksums(self) -> dict[str, str]:
        """SHA-256 of the tensor files, from the config."""
        return self.config().checksums

    def path(self, filename: str, most_bytes: int | None = MAX_TEXT_BYTES) -> Path:
        """The file, downloaded if need be, unless it has more than `most_bytes` bytes."""
        path = self._stored(filename, most_bytes)
        intact = self.folder is not None or _is_intact(path)
        return path if intact else self._download_again(filename, most_bytes)

    def _stored(self, filename: str, most_bytes: int | None) -> Path:
        """The file as folder or cache hold it, downloaded if need be."""
        if self.folder is None:
            return self._download(filename, most_bytes)
        path = self.folder / filename
        if not path.is_file():
            raise NotFoundError(f"{self.folder} has no {filename}: is it a folder that save_pretrained wrote?")
        return path

    def _tensors(self, filename: str, most_bytes: int | None) -> dict[str, Tensor]:
        expected = self.checksums().get(filename)
        path = self.path(filename, most_bytes) if expected is None else self._stored(filename, most_bytes)
        if expected is not None and sha256(path) != expected:
            if self.folder is not None:
                raise WeightsError(
                    f"{path} is not the file that was saved: its SHA-256 differs from the one in {CONFIG}. "
                    "Copy or download it again"
                )
            path = self._download_again(filename, most_bytes)
            if sha256(path) != expected:
                raise WeightsError(
                    f"{self}: {filename} was downloaded twice, and its SHA-256 does not match {CONFIG}: "
                    "the repository is damaged. Tell its owner, or load an earlier revision"
                )
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self}: {filename} is no readable safetensors file: {error}") from error

    @property
    def _offline(self) -> bool:
        return bool(constants.HF_HUB_OFFLINE or self._options["local_files_only"])

    def _download_again(self, filename: str, most_bytes: int | None) -> Path:
        """Replace a damaged file of the cache."""
        if self._offline:
            raise DownloadError(f"{self}: {filename} in the cache is damaged, and we are offline: load it online once")
        return self._download(filename, most_bytes, force_download=True)

    def _download(self, filename: str, most_bytes: int | None, **options: Any) -> Path:
        options = {**self._options, **CLIENT, "revision": self.revision, **options}
        options["headers"] = {"Accept-Encoding": "identity"}  # so that the bytes on the wire are those of the file
        started = time.monotonic()
        pauses = list(_PAUSES)
        while True:
            try:
                with nullcontext() if self._offline else watching(Transfer(f"{self}: {filename}", most_bytes)):
                    return Path(hf_hub_download(self.name, filename, **options))
            except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:  # ValueError: beyond the client's
                failure = self._explain(filename, error)
                final = not pauses or time.monotonic() - started > _RETRY_UNTIL
                if final or not isinstance(failure, DownloadError):
                    raise failure from error
                answer = _answer(error)
                if answer is not None and answer.status_code == 416:
                    options["force_download"] = True  # the partial file that an older client resumes is too long
                time.sleep(pauses.pop(0))

    def _explain(self, filename: str, error: BaseException) -> HubError:
        """Translate an error of the client into a `HubError`."""
        hub, answer = constants.ENDPOINT, _answer(error)
        status = answer.status_code if answer is not None else None
        if isinstance(error, GatedRepoError):
            return NotFoundError(f"{self} is gated on {hub}: ask for access on its page, then log in (hf auth login)")
        if answer is not None and status == 401 and "Authorization" in answer.request.headers:
            return NotFoundError(
                f"{self}: {hub} does not accept the access token; it may have expired. Log in again (hf auth login), "
                "correct HF_TOKEN, or load a public model without a token (token=False)"
            )
        if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
            return NotFoundError(
                f"{self} is not on {hub}, or it is private: check the name, or log in (hf auth login, or HF_TOKEN)"
            )
        if isinstance(error, RevisionNotFoundError):
            return NotFoundError(f"{self.name} has no revision {self.revision!r} on {hub}: check the branch or tag")
        if isinstance(error, RemoteEntryNotFoundError):
            return NotFoundError(f"{self} has no {filename} on {hub}: it is not a model that hfvae pushed")
        if isinstance(error, HFValidationError):
            return NotFoundError(f"{self.name} is neither a folder nor a repo id like user/name: {error}")
        if isinstance(error, LocalEntryNotFoundError | NoAnswer):
            if self._offline:
                return NotFoundError(f"{self}: {filename} is not in the cache, and we are offline: load it online once")
            said = f"answers {status}" if status else "cannot be reached"
            return DownloadError(f"{self}: {hub} {said} and {filename} is not in the cache: try again later")
        if isinstance(error, ValueError) and error.__cause__ is not None:  # "due to the above error"
            return self._explain(filename, error.__cause__)
        without_path = error.strerror if isinstance(error, OSError) else None
        reason = (without_path or str(error)).partition("\n")[0]
        return DownloadError(f"{self}: {hub} failed to deliver {filename}: {reason}. Try again later")


def _answer(error: BaseException | None) -> Any:
    """The hub's response in a chain of exceptions; None if there was none."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response
        error = error.__cause__
    return None


def _is_intact(path: Path) -> bool:
    """Whether a file in huggingface_hub's cache matches its checksum.

    Cached files are named after the ETag, which on the hub is a Git hash or a SHA-256.
    """
    name = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", name):
        return sha256(path) == name
    return not re.fullmatch("[0-9a-f]{40}", name) or git_hash(path.read_bytes()) == name


def parse_record(data: Mapping[str, Any] | None, where: str) -> TrainingData | None:
    """Parse the record of data set and preprocessing in a config or checkpoint; `where` is the model's name in errors.

    Raises:
        ConfigError: not such a record.
    """
    try:
        return None if data is None else TrainingData.from_json(data)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
