import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kantor.capture import Layer, pair, stages
from kantor.core.errors import ConfigError
from kantor.models import load

IMAGE = torch.rand(1, 3, 32, 32)


def paths(pairs):
    return [(p.student, p.teacher) for p in pairs]


def stage_maps(sides):
    return [Layer(f"s{i}", (8, side, side), "map", (i + 1) / len(sides), 3, 100) for i, side in enumerate(sides)]


def test_equal_networks_pair_stage_by_stage():
    found = pair(stages(load("resnet8", classes=4), IMAGE), stages(load("resnet56", classes=10), IMAGE))
    assert paths(found) == [("layer1", "layer1"), ("layer2", "layer2"), ("layer3", "layer3")]
    assert found[1].reason == "depth 0.67 and 0.67, 16x16 and 16x16"
    assert found[-1].reason.startswith("the last stages; ")


def test_a_vit_student_of_a_resnet_teacher():
    found = pair(stages(load("vit", classes=4), IMAGE), stages(load("resnet20", classes=10), IMAGE))
    assert [p.teacher for p in found] == ["layer1", "layer2", "layer3"]
    assert found[-1].student == "blocks.3"
    assert "65 tokens and 8x8" in found[-1].reason


def test_resolution_decides_between_stages():
    # A teacher on 224 pixels: its 56, 28, 14, 7 against the student's 32, 16, 8.
    assert paths(pair(stage_maps([32, 16, 8]), stage_maps([56, 28, 14, 7]))) == [
        ("s0", "s1"),
        ("s1", "s2"),
        ("s2", "s3"),
    ]


def test_the_network_with_more_stages_may_be_the_student():
    assert paths(pair(stage_maps([56, 28, 14, 7]), stage_maps([16, 8]))) == [("s2", "s0"), ("s3", "s1")]


sides = st.lists(st.sampled_from([4, 7, 8, 14, 16, 28, 32, 56]), min_size=1, max_size=6).map(
    lambda s: sorted(s, reverse=True)
)


@given(sides, sides)
def test_pairs_rise_and_the_last_stages_pair(student, teacher):
    found = pair(stage_maps(student), stage_maps(teacher))
    assert len(found) == min(len(student), len(teacher))
    assert (found[-1].student, found[-1].teacher) == (f"s{len(student) - 1}", f"s{len(teacher) - 1}")
    for side in ("student", "teacher"):
        order = [int(getattr(p, side)[1:]) for p in found]
        assert order == sorted(set(order))


@given(sides)
def test_a_network_pairs_with_itself_stage_by_stage(own):
    assert all(p.student == p.teacher for p in pair(stage_maps(own), stage_maps(own)))


def test_nothing_to_pair():
    with pytest.raises(ConfigError, match="teacher has none"):
        pair(stage_maps([8]), [])
