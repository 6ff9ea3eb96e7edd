"""Read IDX files of bytes, the format of MNIST and related data sets, compressed or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

_UNSIGNED_BYTES = 8  # type code of the format
_ADVICE = "delete it to download it again"


def find(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, or None.

    Mirrors and archives also write ``train-images-idx3-ubyte`` as ``train-images.idx3-ubyte``, in capitals, or with
    ``.gz``, as published. An uncompressed file is preferred to a compressed one.
    """
    if not folder.is_dir():
        return None
    found = [path for path in sorted(folder.iterdir()) if _plain(path.name) == _plain(name) and path.is_file()]
    return min(found, key=_is_packed, default=None)


def contents(path: Path) -> bytes:
    """The bytes of a file, decompressed if its name ends in ``.gz``.

    Raises:
        ValueError: it cannot be decompressed.
    """
    packed = path.read_bytes()
    if not _is_packed(path):
        return packed
    try:
        return gzip.decompress(packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}): {_ADVICE}") from error


def parse(content: bytes, dimensions: int, path: Path) -> Tensor:
    """Parse an IDX file into a uint8 array with that number of dimensions; `path` is for error messages.

    Raises:
        ValueError: not such a file, or its size differs from the header.
    """
    magic, start = content[:4], 4 + 4 * dimensions
    if magic != bytes((0, 0, _UNSIGNED_BYTES, dimensions)) or len(content) < start:
        raise ValueError(
            f"{path} is not an IDX file of bytes in {dimensions} dimensions (it begins with "
            f"{magic.hex() or 'nothing'}): {_ADVICE}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path} has {len(content)} bytes, and its header says {start + math.prod(shape)}: it is cut off or "
            f"damaged; {_ADVICE}"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:].view(shape)


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _plain(name: str) -> str:
    return name.lower().removesuffix(".gz").replace(".idx", "-idx")
