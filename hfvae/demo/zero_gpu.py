"""ZeroGPU, the hub's shared GPUs for Spaces, where the `spaces` package says so."""

from __future__ import annotations

import importlib.util
import os


def on_zero_gpu() -> bool:
    """Whether this process is a Space on ZeroGPU."""
    return bool(os.environ.get("SPACES_ZERO_GPU")) and importlib.util.find_spec("spaces") is not None


def declare_gpu_function() -> None:
    """Give ZeroGPU the function that asks for a GPU, without which it refuses to start a Space.

    Nothing calls it: to wait for a GPU takes seconds, and a CPU decodes an image in milliseconds.
    """
    import spaces  # type: ignore[import-not-found]

    @spaces.GPU
    def idle() -> None:
        """Do nothing, on a GPU."""
