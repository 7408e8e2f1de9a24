"""A data set -> batches: parts, seeded order and augmentation, and the cache of a teacher's outputs."""

from kantor.data.augment import Augment
from kantor.data.batch import Batch
from kantor.data.cache import LayerSpec, TeacherCache
from kantor.data.loaded import as_batch
from kantor.data.loader import Loader
from kantor.data.open import holds_texts, open_data
from kantor.data.part import DataSet, Part
from kantor.data.stream import Stream

__all__ = [
    "Augment",
    "Batch",
    "DataSet",
    "LayerSpec",
    "Loader",
    "Part",
    "Stream",
    "TeacherCache",
    "as_batch",
    "holds_texts",
    "open_data",
]
