"""What a student is trained on, batch by batch."""

from kantor.data import Augment, DataSet, Loader, Stream
from kantor.training.config import Training


def training_batches(
    data: DataSet, config: Training, seed: int, *, transfers: bool, rank: int = 0, world: int = 1
) -> Loader:
    """The training part in batches; samples without labels come beside it where something is transferred.

    A student that learns from labels alone has no use for the others, and is trained as if they were not there.
    """
    beside = None
    if data.unlabelled is not None and transfers:
        beside = Stream(data.unlabelled, config.unlabelled_batch or config.batch_size, seed, world)
    augment = augmentation(config, data)
    return Loader(data.train, config.batch_size, seed=seed, augment=augment, rank=rank, world=world, beside=beside)


def augmentation(config: Training, data: DataSet) -> Augment:
    """What ``auto`` stands for: mirror for colour images and views made of them, none for grey ones and vectors.

    None, too, where labels lie on the image's places: they would not be mirrored with it.
    """
    if config.augment != "auto":
        return Augment.named(config.augment)
    return Augment.named("mirror" if data.train.colour and data.kind != "maps" else "none")
