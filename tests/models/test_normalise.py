import pytest
import torch

from kantor.core.errors import ConfigError, ShapeError
from kantor.models import Normalise


def test_named_numbers():
    x = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    torch.testing.assert_close(Normalise("imagenet")(x), torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(Normalise("imagenet")(x + 0.229)[:, 0], torch.ones(2, 4, 4))
    assert Normalise("none")(x) is x


def test_given_numbers():
    normalise = Normalise.parse("0.5,0.25/0.5,2")
    x = torch.tensor([[1.0, 4.25]])
    assert torch.equal(normalise(x), torch.tensor([[1.0, 2.0]]))
    assert Normalise(**normalise.facts())(x).equal(normalise(x))


def test_numbers_keep_their_name():
    assert Normalise.of([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).mode == "imagenet"
    assert Normalise.of([0.5], [0.5]).mode == "given"


@pytest.mark.parametrize("text", ["imagnet", "0.5", "0.5/0", "0.5,0.5/0.1", "a/b", "1/2/3"])
def test_what_cannot_be_read(text):
    with pytest.raises(ConfigError, match=f"normalise={text}"):
        Normalise.parse(text)


def test_grey_images_become_three_channels():
    assert Normalise("cifar")(torch.rand(2, 1, 5, 5)).shape == (2, 3, 5, 5)


def test_channels_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"3 means.*\(2, 4, 5, 5\) have 4"):
        Normalise("imagenet")(torch.rand(2, 4, 5, 5))


@pytest.mark.parametrize("shape", [(500, 6), (50, 6, 4, 3)])
def test_fit_standardises_the_training_samples(shape):
    x = torch.randn(shape) * torch.tensor([1e-3, 1.0, 1e3, 5.0, 7.0, 0.0]).view(1, 6, *[1] * (len(shape) - 2)) + 3
    normalise = Normalise("standard")
    assert normalise.needs_fit
    with pytest.raises(ConfigError, match="fit_normaliser"):
        normalise(x)
    normalise.fit(x)
    assert not normalise.needs_fit
    out = normalise(x).double().transpose(0, 1).flatten(1)
    assert out.mean(dim=1).abs().max() < 1e-2
    torch.testing.assert_close(out.std(dim=1, correction=0)[:5], torch.ones(5).double(), atol=1e-2, rtol=0)
    # What never varies is moved to zero, not blown up.
    assert out[5].abs().max() < 1e-5


def test_only_standard_is_fitted():
    with pytest.raises(ConfigError, match="normalise=imagenet is not fitted"):
        Normalise("imagenet").fit(torch.rand(4, 3))


def test_numbers_are_not_among_the_weights():
    normalise = Normalise("standard")
    normalise.fit(torch.rand(9, 2))
    assert not Normalise("imagenet").state_dict()
    assert not normalise.state_dict()
    assert normalise.double().mean.dtype == torch.float64
