"""Where a teacher's outputs come from makes no difference to what they are."""

import pytest
import torch

import kantor
from kantor.data import Augment, LayerSpec, Loader, TeacherCache
from kantor.objective import CachedTeacher, LiveTeacher, Read


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_live_and_cached_are_equal_under_the_students_autocast(tmp_path, dtype):
    pytest.importorskip("sklearn")
    data = kantor.open_data("digits", train_limit=64)
    torch.manual_seed(0)
    teacher = kantor.load("cnn@width=16", classes=data.classes, input_shape=(1, 8, 8))
    live, augment = LiveTeacher(teacher), Augment.named("none")
    reads = [Read("logits"), Read("layer3")]
    batch = next(Loader(data.train, 32, seed=0, augment=augment).epoch(0))
    layers = {read.key: LayerSpec(tuple(x.shape[1:])) for read, x in live.outputs(batch, reads).items()}
    cache = TeacherCache.open(
        tmp_path, part=data.train, augment=augment, role="teacher", teacher="t", layers=layers, limit_bytes=1e9
    )
    cache.fill(lambda few: {read.key: x for read, x in live.outputs(few, reads).items()}, batch_size=32)
    kept = CachedTeacher(cache, live.facts).outputs(batch, reads)
    with torch.autocast("cpu", dtype):
        now = live.outputs(batch, reads)
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype  # the student's own
    for read in reads:
        assert now[read].dtype == torch.float32
        torch.testing.assert_close(now[read], kept[read], rtol=1e-5, atol=1e-6)
