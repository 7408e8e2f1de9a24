"""A small network for maps learns from one of torchvision's, on shapes that are drawn here, in a loop of one's own."""

import torch
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

import kantor


def drawn(count):
    """Images [count, 3, 64, 64] with a square and a disc each, and the class of every pixel [count, 64, 64]."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    a, b, c, d = torch.randint(12, 52, (4, count, 1, 1))
    labels = torch.maximum((x - a).abs(), (y - b).abs()).lt(9).long()
    labels[(x - c) ** 2 + (y - d) ** 2 < 100] = 2
    colours = torch.tensor([[0.2, 0.2, 0.2], [0.8, 0.3, 0.3], [0.3, 0.3, 0.8]])
    return colours[labels].movedim(-1, 1) + 0.2 * torch.randn(count, 3, 64, 64), labels


def train(objective, steps):
    objective.check(*drawn(8))
    optimizer = torch.optim.Adam(objective.parameters(), lr=3e-3)
    for _ in range(steps):
        objective(*drawn(8)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step()


torch.manual_seed(0)
teacher = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
train(kantor.Objective(teacher, {}, []), steps=24)
body = [nn.Conv2d(3, 16, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()]
student = nn.Sequential(*body, nn.Conv2d(32, 3, 1), nn.Upsample(scale_factor=8, mode="bilinear"))
loss = kantor.losses.NeuronTransport(spatial="positions")  # 32 channels meet 40, place by place
term = kantor.Term(loss, student="3", teacher="big:backbone.6")
train(kantor.Objective(student, {"big": teacher}, [term]), steps=40)
images, labels = drawn(32)
print("right:", round((student(images).argmax(1) == labels).float().mean().item(), 3))
