"""Draw digits, move latents, walk the latent map: `python app.py`, or hosted as a Space.

Models come from --model (repeatable), else from $HFVAE_MODELS (separated by commas or spaces), else the bundled ones.
"""

from __future__ import annotations

import argparse
import os

from hfvae.demo import build_demo
from hfvae.hub import HubError


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw digits, move latents, walk the latent map.")
    parser.add_argument(
        "--model", action="append", metavar="DIR_OR_REPO", help="folder, bundled name or user/name; may be repeated"
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where the models run")
    parser.add_argument("--host", help="address to listen on (default: $GRADIO_SERVER_NAME, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: $GRADIO_SERVER_PORT, else 7860 or next)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    arguments = parser.parse_args()
    models = arguments.model or os.environ.get("HFVAE_MODELS", "").replace(",", " ").split() or None
    try:
        demo = build_demo(models, arguments.device)
    except (HubError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    demo.launch(
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share,
        footer_links=["api", "settings"],
        run_history=False,
    )


if __name__ == "__main__":
    main()
