"""Model folders and hub repositories: their files, and how models are loaded, saved, described and published."""

from .card import CardDetails, ModelFacts, validate_card, write_card
from .checkpoint import CHECKPOINT_KEY, Checkpoint, read_checkpoint
from .contents import model_files
from .download import ModelSource
from .errors import CardError, ConfigError, DownloadError, HubError, NotFoundError, PushError, WeightsError
from .layout import (
    BUNDLED,
    CARD,
    CONFIG,
    EXPORT_RECORD,
    FIGURES,
    LATENTS,
    METRICS,
    TRAINING,
    WEIGHTS,
    Latents,
    atomic_write,
    bundled_names,
    display_name,
    sha256,
    write_json,
    write_latents,
)
from .loading import distinct_weights
from .mixin import HubMixin
from .publish import check_push, full_repo_id, push
from .space import HARDWARE, package_files, space_files
