"""Draw digits, move latents, explore the latent map: `python app.py`, or hosted as a Space."""

from hfvae.cli.app import main

if __name__ == "__main__":
    demo = main()
