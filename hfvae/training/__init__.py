"""Training with Lightning: the module, its objectives and optimizers, callbacks."""

from .callbacks import AtomicCheckpointIO, AverageWeights, LogImages, SaveOnInterrupt
from .module import Diverged, VAETraining

__all__ = ["AtomicCheckpointIO", "AverageWeights", "Diverged", "LogImages", "SaveOnInterrupt", "VAETraining"]
