"""Training with Lightning: the module, its objectives and optimizers, callbacks, a logger."""

from .callbacks import AtomicCheckpointIO, AverageWeights, EndUnrotated, LogImages, SaveOnInterrupt
from .divergence import Diverged
from .module import VAETraining
from .trackio import TrackioLogger

__all__ = [
    "AtomicCheckpointIO",
    "AverageWeights",
    "Diverged",
    "EndUnrotated",
    "LogImages",
    "SaveOnInterrupt",
    "TrackioLogger",
    "VAETraining",
]
