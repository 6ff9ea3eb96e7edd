"""Serve the app: draw digits, move latents, explore the latent map."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Sequence

import torch

from ..allocator import return_freed_memory
from ..demo import build_demo
from ..demo.server import App
from ..demo.serving import logs
from ..demo.serving.server import serve
from ..demo.zero_gpu import on_zero_gpu
from ..hub import HubError
from ..version import command
from . import add_extension_option, import_extensions

RECORDS = "100"
"""Past calls of which Gradio keeps statistics, which nobody sees."""


def main(arguments: Sequence[str] | None = None) -> App:
    """Build the app and serve it, as `arguments` (None: the command line's) say; return it when it has ended."""
    options = parse(arguments)
    reloading = bool(os.environ.get("GRADIO_WATCH_DIRS"))  # `gradio app.py` runs app.py again whenever a file changes
    if not reloading:
        logs.configure()
    return_freed_memory()
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", RECORDS)
    torch.set_num_threads(1)  # one image is too little work for several threads, and visitors come in parallel
    models = options.model or words(os.environ.get("HFVAE_MODELS", "")) or None
    try:
        demo = build_demo(models, options.device)
        if reloading or on_zero_gpu():  # both work through Gradio's own server alone
            demo.launch(
                server_name=options.host,
                server_port=options.port,
                root_path=options.root_path,
                share=options.share,
                mcp_server=options.mcp,
            )
        else:
            serve(
                demo,
                options.host,
                options.port,
                root_path=options.root_path,
                allow_origins=options.allow_origin,
                forwarded_allow_ips=options.forwarded_allow_ips,
                share=options.share,
                mcp=options.mcp,
            )
    except (HubError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    return demo


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line's options; modules named by --extension are imported."""
    parser = argparse.ArgumentParser(
        prog=command("app"),
        description="Draw digits, move latents, explore the latent map.",
        epilog="Without --model, $HFVAE_MODELS (separated by commas or spaces) names the models, else the bundled ones "
        "are shown. Behind a proxy, $GRADIO_ROOT_PATH is the path under which visitors find the app.",
    )
    parser.add_argument(
        "--model", action="append", metavar="DIR_OR_REPO", help="folder, bundled name or user/name; may be repeated"
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where the models run")
    parser.add_argument("--host", help="address to listen on (default: $GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: $GRADIO_SERVER_PORT, else 7860 or next)")
    parser.add_argument("--root_path", help="path or address under which visitors find it (default: $GRADIO_ROOT_PATH)")
    parser.add_argument(
        "--allow_origin",
        action="append",
        type=origin,
        metavar="ORIGIN",
        help="https://… of a page that may call the app and show it in a frame; may be repeated "
        "(default: $HFVAE_ALLOW_ORIGINS, separated by commas or spaces)",
    )
    parser.add_argument(
        "--forwarded_allow_ips",
        metavar="ADDRESSES",
        help="addresses of proxies whose X-Forwarded headers are believed, separated by commas "
        "(default: $FORWARDED_ALLOW_IPS, else none)",
    )
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    parser.add_argument(
        "--mcp", action="store_const", const=True, help="offer the endpoints as tools for language models, too"
    )
    add_extension_option(parser)
    options = parser.parse_args(arguments)
    import_extensions(options.extension)
    if options.mcp and importlib.util.find_spec("mcp") is None:
        parser.exit(1, '--mcp needs the package mcp: pip install "gradio[mcp]"\n')
    if options.allow_origin is None:
        try:
            options.allow_origin = [origin(text) for text in words(os.environ.get("HFVAE_ALLOW_ORIGINS", ""))]
        except ValueError as error:
            parser.error(f"HFVAE_ALLOW_ORIGINS: {error}")
    return options


def words(text: str) -> list[str]:
    """What commas or spaces separate."""
    return text.replace(",", " ").split()


def origin(text: str) -> str:
    """An origin such as https://example.org, as browsers write it.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"https?://[\w.-]+(:\d+)?", text, re.ASCII):
        raise ValueError(f"{text} is no origin such as https://example.org")
    return text.lower()
