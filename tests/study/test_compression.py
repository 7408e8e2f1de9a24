"""Setting 2 from end to end: examples/compression, shrunk to seconds."""

import json
from pathlib import Path

import pytest
import yaml

from kantor.cli import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "compression" / "cifar10.yaml"
SHRUNK = ["--train-limit=64", "--batch-size=16", "--epochs=1", "--seeds=1", "--jobs=1", "--device=cpu"]


def test_the_example_is_a_study():
    from kantor.study import Study
    from kantor.study.settings.resolved import ResolvedStudy

    study = Study(**yaml.safe_load(EXAMPLE.read_text()))
    study.check()
    assert ResolvedStudy(study).methods


@pytest.mark.slow
def test_the_example_runs(shared_data, tmp_path, monkeypatch):
    """Every method of the file with the real teacher, on the first images of the real data; then a trained start."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    monkeypatch.chdir(tmp_path)
    Path("cifar10").mkdir()
    for file in (shared_data / "cifar10").glob("*.parquet"):
        parquet.write_table(parquet.ParquetFile(file).read_row_group(0).slice(0, 100), Path("cifar10") / file.name)
    teacher = shared_data / "cifar10_resnets" / "resnet56.safetensors"
    common = ["distill", f"--config={EXAMPLE}", "--data=cifar10", f"--teacher=resnet56:{teacher}", *SHRUNK]
    assert main([*common, "--out=a"]) == 0
    methods = json.loads(Path("a/summary.json").read_text())["methods"]
    asked = yaml.safe_load(EXAMPLE.read_text())["methods"]
    assert list(methods) == [method if isinstance(method, str) else method["name"] for method in asked]
    terms = json.loads(Path("a/step0.json").read_text())["methods"]["neuron_transport-stages"]["terms"]
    assert [term["name"] for term in terms] == ["task", *(f"neuron_transport.layer{stage}" for stage in (1, 2, 3))]
    assert main([*common, "--start=a/none/seed-{seed}", "--methods=none,neuron_transport", "--out=b"]) == 0
