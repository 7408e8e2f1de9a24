"""What is whole before it is damaged: data of every form, a trained run, a ranking, a comparison, weights."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from kantor.cli import main

TRAIN = [
    *("--student=mlp@hidden=6", "--teacher=mlp@hidden=8", "--teacher-epochs=1", "--epochs=1", "--batch-size=16"),
    *("--seeds=1", "--jobs=1", "--threads=1", "--device=cpu"),
]
WEIGHTS = "run/kd/seed-0/student.safetensors"


def build(folder: Path) -> None:
    """Make all of it in ``folder``, which is the working folder."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 3
    x = (np.eye(3, 5)[label] * 3 + rng.normal(size=(60, 5))).astype(np.float32)
    pictures = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    names = np.array(["cat", "dog", "eel"])
    np.savez(folder / "vectors.npz", x=x, label=label, class_names=names)
    np.savez(folder / "parts.npz", x_train=x, y_train=label, x_test=x[:20], y_test=label[:20])
    np.savez(folder / "pictures.npz", image=pictures, label=label)
    np.savez(folder / "matrix.npz", rows=names, columns=names, cost=1 - np.eye(3))
    np.savez(folder / "words.npz", words=names, vectors=rng.normal(size=(3, 4)))
    for number, pixels in enumerate(pictures[:24]):
        place = folder / "photos" / ("train" if number < 18 else "test") / str(names[number % 3])
        place.mkdir(parents=True, exist_ok=True)
        kind = ("png", "jpg", "webp", "gif", "bmp", "tiff")[number % 6]
        Image.fromarray(pixels).save(place / f"{number}.{kind}")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for path in sorted((folder / "photos").rglob("*.*")):
            archive.write(path, path.relative_to(folder / "photos"))
    _parquet(folder / "table", pictures, label, names)
    _train(["distill", "--data=vectors.npz", "--methods=none,kd,neuron_transport", "--out=run", *TRAIN])
    shutil.copy(folder / WEIGHTS, folder / "student.safetensors")
    from safetensors.torch import load_file

    torch.save(load_file(folder / "student.safetensors"), folder / "student.pt")
    model = "mlp@hidden=6:student.safetensors"
    _train(["rank", "--data=vectors.npz", f"--teachers={model},mlp@hidden=6:student.pt", "--bootstrap=5", "--out=rank"])
    _train(["compare", model, model, "--data=vectors.npz", "--out=compare"])
    _train(["analyse", "run"])
    _train(["probe", "run"])
    (folder / "teachers.yaml").write_text(f"a:\n  model: {model}\nb:\n  model: {model}\n  classes: [cat, dog, eel]\n")
    (folder / "study.yaml").write_text(
        "data: vectors.npz\nstudent: mlp@hidden=6\nmethods: [none, kd]\nepochs: 1\nseeds: 1\n"
    )


def _train(arguments: list[str]) -> None:
    status = main(arguments)
    assert status == 0, (status, arguments)


def _parquet(folder: Path, pictures: np.ndarray, label: np.ndarray, names: np.ndarray) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return
    import io

    folder.mkdir()
    for part, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        coded = []
        for pixels in pictures[rows]:
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "png")
            coded.append({"bytes": content.getvalue(), "path": "a.png"})
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names.tolist()}}
        table = pa.table({"image": coded, "label": label[rows]})
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(metadata), folder / f"{part}.parquet", row_group_size=10)
