import pytest
import torch

from kantor.core.errors import ShapeError
from kantor.core.inputs import changed, device_of, finite_rows, on_device, rows, samples_in, shown, tensors_of

TEXT = {"input_ids": torch.arange(8).view(4, 2), "weight": torch.rand(4)}
IMAGES = torch.rand(4, 1, 2, 2)


def test_a_mapping_is_counted_sliced_and_described_as_a_tensor_is():
    assert samples_in(TEXT) == samples_in(IMAGES) == 4
    few = rows(TEXT, slice(1, 3))
    assert few["input_ids"].tolist() == [[2, 3], [4, 5]] and few["weight"].shape == (2,)
    assert torch.equal(rows(IMAGES, slice(1, 3)), IMAGES[1:3])
    assert shown(TEXT) == "input_ids [4, 2], weight [4]" and shown(IMAGES, batch=False) == "[1, 2, 2]"
    assert [x.dtype for x in tensors_of(changed(TEXT, torch.Tensor.double))] == [torch.float64] * 2
    assert device_of(on_device(TEXT, "meta")).type == "meta" and device_of(IMAGES).type == "cpu"


@pytest.mark.parametrize("given", [{}, {"a": torch.rand(4, 2), "b": torch.rand(3)}, {"a": torch.tensor(1.0)}])
def test_tensors_of_other_samples_are_no_input(given):
    with pytest.raises(ShapeError, match="a row for each sample"):
        samples_in(given)


def test_a_sample_is_finite_where_all_its_tensors_are():
    broken = {**TEXT, "weight": torch.tensor([1.0, torch.nan, 2.0, torch.inf])}
    assert finite_rows(broken).tolist() == [True, False, True, False]
    assert finite_rows(IMAGES).all()
