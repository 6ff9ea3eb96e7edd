"""Train a VAE and export it as a hub folder; `hfvae fit` once the package is installed."""

import clone  # noqa: F401  finds the package of this clone, installed or not

from hfvae.cli.fit import main

if __name__ == "__main__":
    main()
