"""Training with Lightning: the module, its objectives and optimizers, callbacks, checkpoints."""

from .callbacks import AverageWeights, EndUnrotated, LogImages
from .checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, Outcome, outcome
from .divergence import Diverged
from .duration import TimeEstimate
from .module import VAETraining

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
    "VAETraining",
    "outcome",
]
