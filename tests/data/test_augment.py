import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kantor.core.errors import ConfigError
from kantor.data import Augment

CROP = Augment.named("crop+mirror")


def images(n: int = 40, size: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@settings(max_examples=25)
@given(st.integers(0, 5), st.integers(0, 9), st.permutations(range(20)), st.integers(1, 20))
@pytest.mark.parametrize("name", Augment.NAMES)
def test_a_sample_depends_on_seed_epoch_and_id_alone(name, seed, epoch, order, size):
    x, ids = images(20), torch.arange(20) + 1000
    augment = Augment.named(name)
    whole, views = augment.apply({"student": x}, ids, epoch, seed)
    some = torch.tensor(order[:size])
    part, part_views = augment.apply({"student": x[some]}, ids[some], epoch, seed)
    assert torch.equal(part["student"], whole["student"][some])
    assert (views is None) == (part_views is None) == (augment.views is None)
    if views is not None and part_views is not None:
        assert torch.equal(part_views, views[some])


@pytest.mark.parametrize("name", ["mirror", "crop+mirror"])
def test_epochs_and_seeds_differ(name):
    x, ids, augment = images(), torch.arange(40), Augment.named(name)
    a, b, c = (augment.apply({"x": x}, ids, epoch, seed)[0]["x"] for epoch, seed in ((0, 0), (1, 0), (0, 1)))
    assert not torch.equal(a, b) and not torch.equal(a, c)


def test_a_mirror_is_one_of_its_two_views():
    x, ids, augment = images(200), torch.arange(200), Augment.named("mirror")
    inputs, views = augment.apply({"x": x}, ids, 3, 1)
    assert views is not None and 60 < int(views.sum()) < 140
    fixed = torch.stack([augment.view({"x": x}, v)["x"] for v in (0, 1)])
    assert torch.equal(inputs["x"], fixed[views, ids])
    assert torch.equal(fixed[1], x.flip(-1)) and torch.equal(fixed[0], x)


def test_a_crop_shifts_by_up_to_an_eighth_and_fills_with_zeros():
    x = torch.ones(2000, 1, 32, 32)
    moved = CROP.apply({"x": x}, torch.arange(2000), 0, 0)[0]["x"]
    rows = moved.amax(dim=(1, 3)).sum(dim=1)
    assert sorted(set(rows.tolist())) == [28, 29, 30, 31, 32]
    for edge in (0, -1):
        assert ((rows == 28) & (moved[:, 0, edge].sum(dim=1) == 0)).any()
    # Shifts are uniform over nine values, of which one leaves all 32 rows.
    assert (rows == 32).float().mean().item() == pytest.approx(1 / 9, abs=0.03)


def test_a_crop_moves_pixels_and_changes_none():
    x = images(50) + 0.5
    moved = CROP.apply({"x": x}, torch.arange(50), 0, 0)[0]["x"]
    for before, after in zip(x, moved, strict=True):
        assert set(after[after != 0].tolist()) <= set(before.flatten().tolist())


def test_roles_that_share_a_tensor_share_the_result():
    x = images()
    for name in Augment.NAMES:
        inputs, _ = Augment.named(name).apply({"student": x, "teacher": x}, torch.arange(40), 0, 0)
        assert inputs["student"] is inputs["teacher"]
    twice = Augment.named("mirror").view({"student": x, "teacher": x}, 1)
    assert twice["student"] is twice["teacher"]


def test_all_image_roles_get_one_geometry():
    small = images(60)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    vectors = torch.rand(60, 7)
    inputs, _ = CROP.apply({"student": small, "teacher": large, "other": vectors}, torch.arange(60), 2, 0)
    assert torch.equal(inputs["teacher"][:, :, ::2, ::2], inputs["student"])
    assert inputs["other"] is vectors


def test_the_input_is_left_alone():
    x = images()
    before = x.clone()
    CROP.apply({"x": x}, torch.arange(40), 0, 0)
    assert torch.equal(x, before)


def test_a_teacher_of_vectors_sees_the_same_in_every_view():
    vectors = torch.rand(3, 5)
    assert Augment.named("mirror").view({"teacher": vectors}, 1)["teacher"] is vectors


def test_errors_name_the_remedy():
    with pytest.raises(ConfigError, match=r"'mirrored'.*mirror"):
        Augment.named("mirrored")
    with pytest.raises(ConfigError, match=r"needs images.*student \[5\].*'none'"):
        Augment.named("mirror").apply({"student": torch.rand(3, 5)}, torch.arange(3), 0, 0)
    with pytest.raises(ConfigError, match="no fixed view 0"):
        CROP.view({"x": images()}, 0)
    with pytest.raises(ConfigError, match="no fixed view 2"):
        Augment.named("mirror").view({"x": images()}, 2)
