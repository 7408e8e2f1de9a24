"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, shipped inside the package, so nothing is fetched."""

from collections.abc import Mapping

import numpy as np
import torch

from kantor.core.optional import optional
from kantor.data.images import resize
from kantor.data.source import Found, Source
from kantor.data.store import InMemory
from kantor.data.views import choose_views


def read_digits(image_size: int | None, views: Mapping[str, str] | None) -> Found:
    """All images as one part; opening cuts 20 % for the test (1,437 and 360).

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    with optional("The digits need scikit-learn", "digits"):
        from sklearn.datasets import load_digits
    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(np.asarray(pixels, dtype=np.float32).reshape(-1, 1, 8, 8) / 16)  # pixels are 0..16
    store = InMemory(resize(images, image_size))
    source = Source(np.asarray(labels, dtype=np.int64), {"image": store})
    roles = choose_views(views, {"image": str(list(store.shape))}, "digits")
    return Found([str(digit) for digit in range(10)], {"train": source}, roles)
