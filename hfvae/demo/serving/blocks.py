"""Blocks that show models, and whose named endpoints may be called with arguments left out.

This is the one place that changes how Gradio checks a call's inputs: `Blocks.validate_inputs`, which is not documented.
Gradio refuses a call with fewer inputs than the function has arguments, defaults or not, by an error whose traceback it
prints with all that the visitor sent. Tried with Gradio 6.31.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from ..registry import ModelRegistry


class ModelBlocks(gr.Blocks):
    """Blocks with the models that they show."""

    registry: ModelRegistry

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Add the defaults of arguments that a call leaves out at its end, or refuse it in a sentence."""
        for name, parameter in list(inspect.signature(block_fn.fn).parameters.items())[len(inputs) :]:
            if parameter.default is parameter.empty:
                raise gr.Error(f"{block_fn.name} needs an argument {name}", print_exception=False)
            inputs.append(parameter.default)
