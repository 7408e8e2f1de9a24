"""Draw the pictures of the page on optimal transport from real activations: python docs/pictures.py.

A teacher of 128 and a student of 32 last-layer channels on scikit-learn's digits; seeds are fixed.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

import kantor
from kantor import ot
from kantor.capture import capture
from kantor.data import Augment, Loader
from kantor.losses import NeuronTransport

HERE = Path(__file__).parent / "pictures"


def main() -> None:
    plt.rcParams.update({"svg.hashsalt": "kantor", "font.size": 10})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = kantor.open_data("digits")
    loader = Loader(data.train, 128, seed=0, augment=Augment.named("none"))
    teacher = kantor.load("cnn@width=128", classes=data.classes, input_shape=(1, 8, 8))
    student = kantor.load("cnn@width=32", classes=data.classes, input_shape=(1, 8, 8))
    train(teacher, loader, 10)
    draw_slow_plan(teacher, student, loader)
    train(student, loader, 5)
    draw_epsilon(teacher, student, data)


def train(network: torch.nn.Module, loader: Loader, epochs: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for epoch in range(epochs):
        for batch in loader.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(network(batch.inputs["student"]), batch.targets).backward()
            optimizer.step()
    network.eval()


@torch.no_grad()
def features(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with capture(network, ["layer3"]) as taken:
        network(images)
    return taken["layer3"].mean(dim=(2, 3))


def draw_epsilon(teacher: torch.nn.Module, student: torch.nn.Module, data: kantor.data.DataSet) -> None:
    images = data.test.read(np.arange(len(data.test)))["student"]
    cost = ot.cost_from(ot.moments(features(teacher, images), features(student, images), "correlation"), "correlation")
    mean = cost.mean().item()
    exact = ot.solve(cost, method="exact")
    order = np.lexsort((-exact.plan.max(1).values.numpy(), exact.plan.argmax(1).numpy()))
    figure, axes = plt.subplots(1, 4, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, share in zip(axes, (1.0, 0.1, 0.02, None), strict=True):
        found = exact if share is None else ot.solve(cost, epsilon=share * mean)
        axis.imshow(found.plan[order], aspect="auto", cmap="magma", interpolation="nearest", vmin=0)
        axis.set_title(
            f"{'exact' if share is None else f'ε = {share:g} of the mean cost'}\n⟨P, C⟩ = {found.cost:.3f}", fontsize=9
        )
        axis.set_xlabel("student neuron")
    axes[0].set_ylabel("teacher neuron")
    save(figure, "epsilon")


def draw_slow_plan(teacher: torch.nn.Module, student: torch.nn.Module, loader: Loader) -> None:
    student.eval()
    figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
    for momentum, colour, label in (
        (0.0, "#d55e00", "plan of each batch"),
        (0.99, "#0072b2", "plan on averaged statistics (.99)"),
    ):
        loss = NeuronTransport(plan_momentum=momentum)
        loss.build((torch.Size([128, 32]),), (torch.Size([128, 128]),), 0)
        kept, before = [], None
        for epoch in range(5):
            for batch in loader.epoch(epoch):
                images = batch.inputs["student"]
                loss(features(student, images), features(teacher, images))
                loss.after_step()
                partner = loss.slow.plan.argmax(dim=1)
                if before is not None:
                    kept.append((partner == before).double().mean().item())
                before = partner
        axis.plot(range(1, len(kept) + 1), [100 * share for share in kept], color=colour, label=label)
    axis.set_xlabel("batches of 128 images; student and teacher stand still")
    axis.set_ylabel("matches kept, %")
    axis.set_ylim(0, 102)
    axis.legend(frameon=False, loc="center", bbox_to_anchor=(0.7, 0.72))
    save(figure, "slow-plan")


def save(figure: plt.Figure, name: str) -> None:
    HERE.mkdir(exist_ok=True)
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
