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


def test_a_mapping_is_counted_moved_and_cut_as_one_input():
    text = {"input_ids": torch.zeros(4, 3, dtype=torch.long), "attention_mask": torch.ones(4, 3)}
    batch = Batch({"student": text, "teacher": text}, torch.arange(4))
    assert len(batch) == 4
    there = batch.to("meta")
    assert there.inputs["student"] is there.inputs["teacher"]
    assert {x.device.type for x in there.inputs["student"].values()} == {"meta"}
    few = batch.first(2)
    assert len(few) == 2 and few.targets is None and few.inputs["teacher"]["attention_mask"].shape == (2, 3)
