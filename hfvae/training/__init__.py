"""Training with Lightning: the module, its objectives and optimizers, callbacks."""

from .callbacks import AtomicCheckpointIO, LogImages, SaveOnInterrupt
from .module import Diverged, VAETraining

__all__ = ["AtomicCheckpointIO", "Diverged", "LogImages", "SaveOnInterrupt", "VAETraining"]
