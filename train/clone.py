"""Puts this clone's root on the import path, so that its scripts work without installing the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
