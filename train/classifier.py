"""Train the classifier that judges samples."""

import clone  # noqa: F401  finds the package of this clone, installed or not

from hfvae.cli.classifier import main

if __name__ == "__main__":
    main()
