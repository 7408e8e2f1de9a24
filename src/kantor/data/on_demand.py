"""Images that are decoded when they are read."""

import hashlib
import time

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from kantor.core.errors import DataError
from kantor.data.checks import GOOD, LOOKED, Checks
from kantor.data.decoding import ColourFoundError, Form, decode
from kantor.data.source import Encoded
from kantor.data.split import sample

WHOLE_IMAGES, WHOLE_BYTES = 20_000, 256 * 2**20
"""Of parts with no more images, or no more bytes, every byte counts for the digest; of larger ones a sample's."""
_SAMPLE = 256
_REMEMBERED_EVERY = 300.0
"""Seconds between two times that it is kept which images were read without fault."""


class OnDemand:
    """Images that are decoded whenever they are read, and checked by that.

    Args:
        encoded: where they are read.
        form: what each is made into.
        keep: whether their pixels are kept from then on.
    """

    on_demand = True

    def __init__(self, encoded: Encoded, form: Form, *, keep: bool = False):
        self.encoded, self.form, self.shape = encoded, form, form.shape
        self._pixels: UInt8[np.ndarray, "n c h w"] | None = (
            np.empty((len(encoded), *form.shape), dtype=np.uint8) if keep else None
        )
        self._read: Bool[np.ndarray, " n"] = np.zeros(len(encoded), dtype=bool)
        self._told: Bool[np.ndarray, " n"] = self._read.copy()
        self._at = time.monotonic()

    def read(self, rows: Int64[np.ndarray, " batch"]) -> Float32[Tensor, "batch c h w"]:
        """The images at ``rows``, in [0, 1].

        Raises:
            DataError: one cannot be decoded, has another size than the first, or shows colour where none was seen.
        """
        if self._pixels is None:
            taken = np.empty((len(rows), *self.shape), dtype=np.uint8)
            self._decode(rows, taken)
        else:
            missing = np.unique(rows[~self._read[rows]])
            fresh = np.empty((len(missing), *self.shape), dtype=np.uint8)
            self._decode(missing, fresh)
            self._pixels[missing] = fresh
            taken = self._pixels[rows]
        self._read[rows] = True
        self._remember()
        return torch.from_numpy(taken).to(torch.float32).div_(255)

    def digest(self, rows: Int64[np.ndarray, " n"]) -> str:
        """SHA-256 of the shape and of each image's compressed bytes; of a large part of names and sizes, and of the
        bytes of a sample that does not change."""
        digest = hashlib.sha256(f"{self.shape} {self.form.fit}".encode())
        known = self.encoded.identities() if len(self.encoded) > WHOLE_IMAGES else None
        if known is None or (known.sizes.min() >= 0 and known.sizes.sum() <= WHOLE_BYTES):
            contents = rows
        else:
            names = (known.names[row].rpartition("/")[2] for row in rows.tolist())
            digest.update("\0".join(names).encode(errors="surrogateescape"))
            digest.update(known.sizes[rows].astype("<i8").tobytes())
            contents = rows[sample(len(rows), _SAMPLE)]
        for row in contents.tolist():
            digest.update(hashlib.blake2b(self.encoded.read(row), digest_size=16).digest())
        return digest.hexdigest()

    def _decode(self, rows: Int64[np.ndarray, " batch"], into: UInt8[np.ndarray, "batch c h w"]) -> None:
        try:
            corrupt = decode(self.encoded, rows, self.form, into.__setitem__).corrupt
        except ColourFoundError as error:
            raise DataError(
                f"{error.file} shows colour, and all images looked at before were grey. Look at all of them once, by "
                "kantor check DATA, and give the command again."
            ) from None
        if corrupt:
            raise DataError(
                f"Cannot decode {next(iter(corrupt.values()))}. Replace or remove it; kantor check DATA finds all such "
                "images, and --skip-corrupt true leaves them out."
            )

    def _remember(self) -> None:
        """Keep from time to time, and once all are read, which images are without fault."""
        now = time.monotonic()
        if self._read.all() == self._told.all() and now - self._at < _REMEMBERED_EVERY:
            return
        self._at = now
        fresh = np.flatnonzero(self._read & ~self._told)
        if len(fresh):
            self._told[fresh] = True
            flags = np.full(len(fresh), GOOD | (LOOKED if self.form.channels == 1 else 0), dtype=np.uint8)
            Checks(self.encoded.take(fresh)).remember(np.arange(len(fresh)), flags)
