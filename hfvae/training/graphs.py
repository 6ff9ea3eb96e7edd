"""A whole training step as a CUDA graph: one launch for thousands of kernels that run faster than Python starts them.

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
        step: the function; it may change weights and the optimizer's state, as its replays do. It must neither wait for
            the GPU nor branch on values. Capturing does not run it.
        inputs: tensors of the shapes and dtypes to capture it for.
    """

    def __init__(self, step: Step, *inputs: Tensor) -> None:
        self._inputs = [value.clone() for value in inputs]
        self._graph = torch.cuda.CUDAGraph()
        torch.clear_autocast_cache()  # or the graph would read casts of the weights as they are now, at every replay
        with torch.cuda.graph(self._graph):
            self._outputs = step(*self._inputs)
        torch.clear_autocast_cache()

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Run the step; the next call overwrites what this one returns."""
        for own, value in zip(self._inputs, inputs, strict=True):
            own.copy_(value)
        self._graph.replay()
        return self._outputs


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Keep on the GPU what a captured step of Adam or Muon reads: learning rates and numbers of steps."""
    for part in getattr(optimizer, "parts", (optimizer,)):
        part._warned_capturable_if_run_uncaptured = True  # the first steps run so
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
    for state in optimizer.state.values():
        if "step" in state:
            state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=device)


def make_portable(optimizer_state: dict[str, Any]) -> None:
    """Undo `make_capturable` in an optimizer's ``state_dict()``, so that a checkpoint goes on anywhere."""
    for group in optimizer_state["param_groups"]:
        if "capturable" in group:
            group["capturable"] = False
        group["lr"] = float(group["lr"])
