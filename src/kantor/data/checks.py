"""Which images were decoded without fault, kept for the user: each is looked at once, until it changes."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8, UInt16, UInt64

from kantor.core.cores import cores
from kantor.core.errors import KantorError
from kantor.core.files import read_npz, write_with
from kantor.core.locks import acquired
from kantor.core.user_cache import kept_beside
from kantor.data.decoding import said_of
from kantor.data.part import Progress
from kantor.data.pixels import opened
from kantor.data.source import Encoded

GOOD, CORRUPT, COLOUR, LOOKED = 1, 2, 4, 8
"""What is known of an image: it can be decoded, or cannot; it shows colour; that was looked at."""
FORM = 1
"""Of what is kept; what another version kept is looked at anew."""
_CHUNK = 64
_KEPT_EVERY = 20.0
"""Seconds of work that a kill may cost."""


class Checks:
    """What is known of some images.

    Args:
        encoded: the images.
    """

    flags: UInt8[np.ndarray, " n"]
    """Of each image; 0 where nothing is known."""
    sides: UInt16[np.ndarray, "n 2"]
    """Width and height; 0 where they are not known."""
    reasons: dict[int, str]
    """By position, why an image cannot be decoded."""

    def __init__(self, encoded: Encoded):
        self._encoded = encoded
        self._path = kept_beside(encoded.place, "checks", ".npz")
        self._keys = _keys(encoded)
        self.flags = np.zeros(len(encoded), dtype=np.uint8)
        self.sides = np.zeros((len(encoded), 2), dtype=np.uint16)
        self.reasons = {}
        self.read()

    def read(self) -> None:
        """Take over what is kept by now."""
        keys, flags, sides, reasons = _kept(self._path)
        if not len(keys):
            return
        at = np.searchsorted(keys, self._keys).clip(max=len(keys) - 1)
        known = np.flatnonzero(keys[at] == self._keys)
        self.flags[known], self.sides[known] = flags[at[known]], sides[at[known]]
        for place in known[(self.flags[known] & CORRUPT) > 0].tolist():
            self.reasons[place] = reasons.get(f"{self._keys[place]:016x}", "damaged")

    def remember(self, places: Int64[np.ndarray, " some"], flags: UInt8[np.ndarray, " some"]) -> None:
        """Keep what was found at ``places``, with what others found. Where nothing can be kept, nothing is said."""
        self.flags[places] |= flags
        if self._path is None:
            return
        with contextlib.suppress(KantorError, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = acquired(self._path.with_suffix(".lock"))
            try:
                self._merge(places)
            finally:
                lock.release()

    def complete(self, progress: Progress | None = None, *, colour: bool = True) -> None:
        """Look at every image of which nothing is known, on all cores; what is known is kept as it goes on.

        Args:
            progress: told (done, total) images.
            colour: whether it must be known of all if they show colour.
        """
        if self._path is None:
            self._look(progress, colour)
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Processes of one run come together: one looks, and the others find what it found.
            lock = acquired(self._path.with_suffix(".looking"))
        except OSError:
            self._look(progress, colour)
            return
        try:
            self.read()
            self._look(progress, colour)
        finally:
            lock.release()

    def _look(self, progress: Progress | None, colour: bool) -> None:
        needed = LOOKED | CORRUPT if colour else GOOD | CORRUPT
        todo = np.flatnonzero((self.flags & needed) == 0)
        done, fresh, kept_at = len(self.flags) - len(todo), [], time.monotonic()
        chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
        pool = ThreadPoolExecutor(cores())
        try:
            for chunk in pool.map(self._look_at, chunks):
                done += len(chunk)
                fresh.append(chunk)
                if progress is not None:
                    progress(done, len(self.flags))
                if time.monotonic() - kept_at > _KEPT_EVERY:
                    self._keep(fresh)
                    kept_at = time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
            self._keep(fresh)

    def _look_at(self, places: Int64[np.ndarray, " chunk"]) -> Int64[np.ndarray, " chunk"]:
        for place in places.tolist():
            try:
                image = opened(self._encoded.read(place))
            except MemoryError:
                raise
            except Exception as error:  # a damaged file can make a decoder raise anything
                self.flags[place] = CORRUPT
                self.reasons[place] = said_of(self._encoded, place, error)
                continue
            seen = GOOD | LOOKED
            if image.mode != "L":
                red, green, blue = image.split()
                same = red.tobytes()
                seen |= 0 if same == green.tobytes() and same == blue.tobytes() else COLOUR
            self.flags[place], self.sides[place] = seen, np.clip(image.size, 0, 2**16 - 1)
        return places

    def _keep(self, fresh: list[Int64[np.ndarray, " chunk"]]) -> None:
        if fresh:
            places = np.concatenate(fresh)
            self.remember(places, self.flags[places])
            fresh.clear()

    def _merge(self, places: Int64[np.ndarray, " some"]) -> None:
        assert self._path is not None
        keys, flags, sides, reasons = _kept(self._path)
        reasons |= {f"{self._keys[k]:016x}": self.reasons[k] for k in places.tolist() if k in self.reasons}
        # Of an image that stands there twice the last is kept.
        every = np.concatenate([keys, self._keys[places]])[::-1]
        unique, first = np.unique(every, return_index=True)
        held_flags = np.concatenate([flags, self.flags[places]])[::-1][first]
        held_sides = np.concatenate([sides, self.sides[places]])[::-1][first]
        about = json.dumps({"form": FORM, "reasons": reasons}).encode()
        arrays = {"keys": unique, "flags": held_flags, "sides": held_sides, "about": np.frombuffer(about, np.uint8)}
        write_with(self._path, lambda file: np.savez(file, **arrays))


_Kept = tuple[UInt64[np.ndarray, " m"], UInt8[np.ndarray, " m"], UInt16[np.ndarray, "m 2"], dict[str, str]]


def _kept(path: Path | None) -> _Kept:
    """What is kept; nothing where it is damaged."""
    with contextlib.suppress(KantorError, ValueError, KeyError, TypeError, AttributeError):
        if path is not None and path.is_file():
            arrays = read_npz(path, "")
            about = json.loads(arrays["about"].tobytes())
            keys, flags, sides = (arrays[name] for name in ("keys", "flags", "sides"))
            if about["form"] == FORM and len(keys) == len(flags) == len(sides):
                return keys, flags, sides, dict(about["reasons"])
    return np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros((0, 2), np.uint16), {}


def _keys(encoded: Encoded) -> UInt64[np.ndarray, " n"]:
    """A number for each image that changes with its name, its size and the date it was written."""
    known = encoded.identities()
    digest: Callable[[bytes], bytes] = lambda text: hashlib.blake2b(text, digest_size=8).digest()  # noqa: E731
    content = b"".join(
        digest(f"{name}\0{size}\0{stamp}".encode(errors="surrogateescape"))
        for name, size, stamp in zip(known.names, known.sizes.tolist(), known.stamps.tolist(), strict=True)
    )
    return np.frombuffer(content, dtype="<u8")
