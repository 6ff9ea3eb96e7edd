"""A training step as a CUDA graph: one launch instead of thousands of kernels shorter than their launch.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Step = Callable[..., dict[str, Tensor]]


class CapturedStep:
    """A function of tensors of fixed shapes, captured once and replayed for other values.

    Args:
        step: the function. It and its replays may change weights and optimizer state. It must not sync or branch on
            values. Capturing does not run it.
        inputs: tensors of the shapes and dtypes to capture it for.
    """

    def __init__(self, step: Step, *inputs: Tensor) -> None:
        self._inputs = [value.clone() for value in inputs]
        self._graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # or each replay would read the weights as they were cast here
        with torch.cuda.graph(self._graph):
            self._outputs = step(*self._inputs)
        torch.clear_autocast_cache()

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Run the step; the next call overwrites the returned tensors."""
        for own, value in zip(self._inputs, inputs, strict=True):
            own.copy_(value)
        self._graph.replay()
        return self._outputs


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Move the learning rates and step counts of Adam or Muon to the GPU, where a captured step reads them."""
    for part in getattr(optimizer, "parts", (optimizer,)):
        part._warned_capturable_if_run_uncaptured = True  # the first steps are not captured
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
    for state in optimizer.state.values():
        if "step" in state:
            state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=device)


def make_portable(optimizer_state: dict[str, Any]) -> None:
    """Undo `make_capturable` in an optimizer's ``state_dict()``, so that a checkpoint resumes on any device."""
    for group in optimizer_state["param_groups"]:
        if "capturable" in group:
            group["capturable"] = False
        group["lr"] = float(group["lr"])
