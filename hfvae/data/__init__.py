"""Images to train on and to measure on: the Lightning data module, readers of data sets, augmentation."""

from .augmentation import Augmentation
from .module import Batch, ImageTensors, MNISTDataModule
from .readers import READERS, IDXFiles, Images, Reader

__all__ = ["READERS", "Augmentation", "Batch", "IDXFiles", "ImageTensors", "Images", "MNISTDataModule", "Reader"]
