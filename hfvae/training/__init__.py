"""Training with Lightning: the module, its objectives and optimizers, callbacks, checkpoints, a logger."""

from .callbacks import AverageWeights, EndUnrotated, LogImages
from .checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, Outcome, outcome
from .divergence import Diverged
from .duration import TimeEstimate
from .module import VAETraining
from .trackio import TrackioLogger

__all__ = [
    "AtomicCheckpointIO",
    "AverageWeights",
    "BestCheckpoint",
    "Diverged",
    "EndUnrotated",
    "LastCheckpoint",
    "LogImages",
    "Outcome",
    "TimeEstimate",
    "TrackioLogger",
    "VAETraining",
    "outcome",
]
