import torch

from kantor.data import Batch


def test_to_keeps_a_shared_tensor_shared():
    x = torch.rand(4, 3, 2, 2)
    moved = Batch({"student": x, "teacher": x}, torch.arange(4), torch.arange(4), None).to("meta")
    assert moved.inputs["student"] is moved.inputs["teacher"]
    assert moved.inputs["student"].device.type == "meta"
    assert moved.targets is not None and moved.targets.device.type == "meta"
    assert moved.views is None


def test_to_keeps_distinct_tensors_apart():
    batch = Batch({"student": torch.rand(4, 2), "teacher": torch.rand(4, 3)}).to("cpu")
    assert [x.shape[1] for x in batch.inputs.values()] == [2, 3]
    assert len(batch) == 4
