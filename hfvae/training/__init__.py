"""Training with Lightning: the module, its objectives and optimizers, callbacks, checkpoints."""

from .callbacks import AverageWeights, LogImages, NoAugmentationAtEnd
from .checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, Outcome, outcome
from .divergence import Diverged
from .duration import TimeEstimate
from .module import VAETraining

__all__ = [
    "AtomicCheckpointIO",
    "AverageWeights",
    "BestCheckpoint",
    "Diverged",
    "LastCheckpoint",
    "LogImages",
    "NoAugmentationAtEnd",
    "Outcome",
    "TimeEstimate",
    "VAETraining",
    "outcome",
]

EndUnrotated = NoAugmentationAtEnd  # its earlier name, in recipes of earlier versions
