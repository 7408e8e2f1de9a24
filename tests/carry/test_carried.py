"""Weights carried to more units say the same; carried back, so does the network that began it all."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kantor.carry import carry
from kantor.core.errors import ConfigError, DataError
from kantor.models.builtin.resnet import ResNet
from kantor.models.builtin.vit import ViT


class Perceptron(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(6, width), nn.Linear(width, 2 * width), nn.Linear(2 * width, 3)

    def forward(self, x):
        return self.fc3(torch.tanh(self.fc2(torch.relu(self.fc1(x)))))


class Convolutions(nn.Module):
    """Batch norm, a depthwise and a grouped convolution, a transposed one, a flattening."""

    def __init__(self, width):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(2, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.deep = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.grouped = nn.Conv2d(width, 2 * width, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.fc = nn.Linear(16 * width, 3)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(self.grouped(F.silu(self.deep(x))))
        return self.fc(F.max_pool2d(F.relu(self.up(F.avg_pool2d(x, 2))), 2).flatten(1))


class Concatenated(nn.Module):
    """Features are concatenated, and gated by what is known of each channel."""

    def __init__(self, width):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width + 2, 2 * width, 3, padding=1)
        self.gate = nn.Linear(3 * width, 3 * width)
        self.fc = nn.Linear(3 * width, 3)

    def forward(self, x):
        first = torch.relu(self.one(x))
        both = torch.cat([first, torch.relu(self.two(torch.cat([x, first], 1)))], 1)
        pooled = both.mean((2, 3))
        return self.fc((both * torch.sigmoid(self.gate(pooled))[:, :, None, None]).amax((2, 3)))


class Words(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.table, self.norm = nn.Embedding(11, width), nn.LayerNorm(width)
        self.out = nn.Linear(width, 3)

    def forward(self, ids):
        return self.out(self.norm(self.table(ids)).mean(1))


DRAWN = torch.Generator().manual_seed(0)
IMAGES, ROWS = torch.randn(24, 2, 8, 8, generator=DRAWN), torch.randn(64, 6, generator=DRAWN)
IDS = torch.randint(11, (64, 5), generator=DRAWN)
NETWORKS = {
    "perceptron": (Perceptron, 4, 8, ROWS),
    "uneven": (Perceptron, 4, 9, ROWS),
    "convolutions": (Convolutions, 4, 8, IMAGES),
    "concatenated": (Concatenated, 4, 8, IMAGES),
    "words": (Words, 4, 8, IDS),
    "resnet": (lambda w: ResNet(8, 3, (2, 8, 8), width=w), 0.25, 0.5, IMAGES),
    "vit": (lambda w: ViT(3, (2, 8, 8), patch=4, dim=w, depth=2, heads=2), 8, 16, IMAGES),
    "heads": (lambda w: ViT(3, (2, 8, 8), patch=4, dim=4 * w, depth=1, heads=w), 2, 4, IMAGES),
}


def made(make, width, seed):
    torch.manual_seed(seed)
    network = make(width).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.5)
    return network


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_wider_student_says_the_same_and_so_does_what_is_carried_back(kind):
    make, small, large, inputs = NETWORKS[kind]
    teacher, wide, back = (made(make, width, seed) for width, seed in ((small, 0), (large, 1), (small, 2)))
    carry(teacher, wide, [inputs])
    with torch.no_grad():
        expected = teacher(inputs)
        torch.testing.assert_close(wide(inputs), expected, rtol=1e-3, atol=1e-3)
        found = carry(wide, back, [inputs])
        # Every group is made of copies of one unit, so nothing is lost; statistics are those of these very inputs.
        assert all(group.cosine > 0.999 for group in found.groups if group.made < group.units)
        if not any(isinstance(module, nn.BatchNorm2d) for module in teacher.modules()):
            torch.testing.assert_close(back(inputs), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_student_of_the_same_widths_is_its_teacher(kind):
    make, small, _, inputs = NETWORKS[kind]
    teacher, student = made(make, small, 0), made(make, small, 1)
    kept = copy.deepcopy(teacher.state_dict())
    found = carry(teacher, student, [inputs])
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in student.state_dict().items())
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in kept.items())
    assert all(group.cosine == 1 for group in found.groups)


def test_norms_keep_their_momentum_also_where_the_student_fails():
    teacher, student = made(Convolutions, 8, 0), made(Convolutions, 4, 1)

    def failing(norm, inputs):
        if norm.momentum is None:  # its statistics are being measured
            raise RuntimeError("out of memory")

    student.bn.register_forward_pre_hook(failing)
    student.train()
    with pytest.raises(RuntimeError, match="out of memory"):
        carry(teacher, student, [IMAGES])
    assert student.bn.momentum == 0.1
    assert student.bn.training


def test_blocks_beside_shortcuts_are_left_out():
    deep, shallow = (made(lambda d: ResNet(d, 3, (2, 8, 8), width=0.25), depth, 0) for depth in (20, 8))
    found = carry(deep, shallow, [IMAGES])
    assert found.blocks == {f"layer{k}.0": f"layer{k}.0" for k in (1, 2, 3)}
    deep, shallow = (made(lambda d: ViT(3, (2, 8, 8), patch=4, dim=8, depth=d, heads=2), d, 0) for d in (4, 2))
    assert carry(deep, shallow, [IMAGES]).blocks == {"blocks.0": "blocks.0", "blocks.1": "blocks.3"}
    assert torch.equal(shallow.blocks[1].out.weight, deep.blocks[3].out.weight)


def test_a_classifier_of_other_classes_stays_new():
    teacher, student = made(Perceptron, 4, 0), made(Perceptron, 2, 1)
    student.fc3 = nn.Linear(4, 5)
    drawn = student.fc3.weight.clone()
    found = carry(teacher, student, [ROWS], new=["fc3"])
    assert torch.equal(student.fc3.weight, drawn)
    assert found.new == ["fc3.weight", "fc3.bias"]


class Depends(Perceptron):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        (Perceptron(4), nn.Linear(6, 3), "no counterpart"),
        (ResNet(8, 3, (2, 8, 8)), ResNet(14, 3, (2, 8, 8)), "wider than its teacher, and not deeper"),
        (Depends(4), Depends(2), "cannot be traced"),
        (Perceptron(4), nn.Sequential(), None),
    ],
)
def test_what_cannot_be_carried_is_said(teacher, student, message):
    inputs = IMAGES if isinstance(teacher, ResNet) else ROWS
    if message is None:
        with pytest.raises(DataError, match="no data"):
            carry(teacher, student, [])
    else:
        with pytest.raises(ConfigError, match=message):
            carry(teacher, student, [inputs])
