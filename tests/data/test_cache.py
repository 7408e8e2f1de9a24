import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kantor.core.errors import ConfigError, DataError, KantorError, NonFiniteError, ShapeError
from kantor.data import Augment, Batch, LayerSpec, Loader, Part, TeacherCache
from kantor.data.store import InMemory

MIRROR = Augment.named("mirror")
LAYERS = {"layer3": LayerSpec((3, 8)), "logits": LayerSpec((4,), torch.float16)}


def part_of(n: int = 20, seed: int = 0) -> Part:
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
    store = InMemory(torch.from_numpy(pixels))
    # Ids with gaps, as a limit or a cut leaves them.
    rows = np.arange(0, n, 2)
    return Part("train", rows, rows % 4, n, {"student": store, "teacher": store}, rows)


def teacher(batch: Batch) -> dict[str, Tensor]:
    x = batch.inputs["teacher"]
    return {"layer3": x.mean(dim=2), "logits": x[:, 0, 0, :4]}


def open_cache(folder: Path, **changes) -> TeacherCache:
    settings = {
        "part": part_of(),
        "augment": MIRROR,
        "role": "teacher",
        "teacher": "weights-1",
        "layers": LAYERS,
        "limit_bytes": 1e9,
    }
    return TeacherCache.open(folder, **(settings | changes))


def filled(folder: Path, **changes) -> TeacherCache:
    cache = open_cache(folder, **changes)
    cache.fill(teacher, batch_size=3)
    return cache


def files(folder: Path, pattern: str = "*.npy") -> list[Path]:
    return sorted(folder.glob(f"*/{pattern}"))


def refuse(batch: Batch):
    raise AssertionError("the teacher was called")


def test_a_shuffled_augmented_run_reads_its_own_samples(tmp_path):
    cache = filled(tmp_path)
    for epoch in range(3):
        for batch in Loader(part_of(), 4, seed=5, augment=MIRROR).epoch(epoch):
            found, expected = cache.lookup(batch.ids, batch.views), teacher(batch)
            assert torch.equal(found["layer3"], expected["layer3"])
            assert torch.equal(found["logits"], expected["logits"].half().float())


def test_it_is_computed_once_and_read_by_the_next_run(tmp_path):
    filled(tmp_path)
    again = open_cache(tmp_path)
    assert again.missing == {}
    again.fill(refuse)
    ids = torch.tensor([18, 0, 4])
    assert again.lookup(ids, torch.tensor([1, 0, 1]))["layer3"].shape == (3, 3, 8)


def test_only_a_new_layer_is_computed(tmp_path):
    filled(tmp_path, layers={"layer3": LAYERS["layer3"]})
    cache = open_cache(tmp_path)
    assert list(cache.missing) == ["logits"]
    cache.fill(lambda batch: {"logits": teacher(batch)["logits"]})
    assert cache.missing == {} and set(cache.lookup(torch.tensor([2]), torch.tensor([0]))) == set(LAYERS)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"teacher": "weights-2"}, "teacher"),
        ({"augment": Augment.named("none")}, "views"),
        ({"part": part_of(seed=1)}, "samples"),
        ({"part": part_of(18)}, "samples"),
        ({"role": "student"}, "role"),
        ({"layers": {"layer3": LayerSpec((3, 8), pooled=True)}}, "pooled"),
        ({"layers": {"layer3": LayerSpec((3, 8), torch.float16)}}, "dtype"),
    ],
)
def test_what_the_outputs_depend_on_is_noticed_and_named(tmp_path, changes, differs):
    filled(tmp_path)
    cache = open_cache(tmp_path, **changes)
    assert cache.missing["layer3"].endswith(f"differs in: {differs}")
    with pytest.raises(DataError, match="not filled: layer3"):
        cache.lookup(torch.tensor([0]), torch.tensor([0]))


def test_weights_that_differ_in_one_bit_have_another_cache(tmp_path):
    import hashlib

    weights = torch.rand(10)
    digests = []
    for flip in (0, 1):
        content = bytearray(weights.numpy().tobytes())
        content[7] ^= flip
        digests.append(hashlib.sha256(content).hexdigest())
    filled(tmp_path, teacher=digests[0])
    assert set(open_cache(tmp_path, teacher=digests[1]).missing) == set(LAYERS)


def test_a_truncated_file_is_noticed_and_filled_again(tmp_path):
    cache = filled(tmp_path)
    ids, views = torch.tensor([2, 6]), torch.tensor([1, 1])
    before = cache.lookup(ids, views)
    path = files(tmp_path, "layer3.npy")[0]
    path.write_bytes(path.read_bytes()[:-10])
    again = open_cache(tmp_path)
    assert list(again.missing) == ["layer3"]
    assert "truncated" in again.missing["layer3"] and str(path) in again.missing["layer3"]
    again.fill(teacher)
    assert torch.equal(again.lookup(ids, views)["layer3"], before["layer3"])


@pytest.mark.parametrize("where", [0.0, 0.1, 0.5, 0.999])
def test_one_flipped_bit_is_noticed(tmp_path, where):
    filled(tmp_path)
    for path in files(tmp_path):
        content = bytearray(path.read_bytes())
        content[int(where * len(content))] ^= 16
        path.write_bytes(content)
    reasons = open_cache(tmp_path).missing
    assert set(reasons) == set(LAYERS) and all("checksum differs" in reason for reason in reasons.values())


def test_a_damaged_description_or_a_lost_file_is_noticed(tmp_path):
    filled(tmp_path)
    description = files(tmp_path, "cache.json")[0]
    description.write_text(description.read_text()[:-20])
    files(tmp_path)[1].unlink()
    reasons = sorted(reason.rsplit(" ", 1)[-1] for reason in open_cache(tmp_path).missing.values())
    assert reasons == ["damaged", "gone"]


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    filled(tmp_path / "a")
    filled(tmp_path / "b", teacher="weights-2")
    a, b = (files(tmp_path / name, "cache.json")[0] for name in "ab")
    a.write_bytes(b.read_bytes())
    with pytest.raises(DataError, match=r"cache\.json describes other outputs \(teacher 'weights-2' instead of"):
        open_cache(tmp_path / "a")
    a.unlink()
    with pytest.raises(DataError, match=r"has no cache\.json, so it is no teacher cache"):
        open_cache(tmp_path / "a")
    assert files(tmp_path / "a")[0].exists()


def test_values_of_another_shape_are_not_believed(tmp_path):
    import zlib

    filled(tmp_path)
    path = files(tmp_path, "layer3.npy")[0]
    np.save(path, np.zeros((3, 3), np.float32))
    description = path.parent / "cache.json"
    about = json.loads(description.read_text())
    about |= {"bytes": path.stat().st_size, "crc32": zlib.crc32(path.read_bytes())}
    description.write_text(json.dumps(about))
    assert "instead of" in open_cache(tmp_path).missing["layer3"]


def test_a_size_over_the_limit_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"layer3 \[3, 8\].*0\.00208 MB.*limit of 0\.001 MB.*pooled.*--cache-limit"):
        open_cache(tmp_path / "x", limit_bytes=1e3)
    assert not (tmp_path / "x").exists()
    assert open_cache(tmp_path, limit_bytes=2080.0).bytes == 2080


def test_a_full_disk_is_refused_before_the_teacher_is_called(tmp_path, monkeypatch):
    cache = open_cache(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(ConfigError, match=r"0\.0001 MB free"):
        cache.fill(refuse)


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path):
    def limited(batch: Batch):
        if batch.views is not None and batch.views[0] == 1:
            raise OSError(28, "No space left on device")
        return teacher(batch)

    with pytest.raises(KantorError, match="No space left"):
        open_cache(tmp_path).fill(limited)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_transform_without_fixed_views_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"'crop\+mirror' cannot be kept.*--augment mirror"):
        open_cache(tmp_path, augment=Augment.named("crop+mirror"))


def test_samples_and_views_it_does_not_hold(tmp_path):
    cache = filled(tmp_path)
    zero = torch.tensor([0])
    for ids, views in ((torch.tensor([3]), zero), (torch.tensor([99]), zero), (zero, torch.tensor([2]))):
        with pytest.raises(DataError, match=rf"\[{ids.item()}\]"):
            cache.lookup(ids, views)
    with pytest.raises(DataError, match="no fixed view"):
        cache.lookup(zero, None)


def test_outputs_that_cannot_be_kept(tmp_path):
    with pytest.raises(ShapeError, match=r"'logits' gave \[3, 5\].*expects \[3, 4\]"):
        open_cache(tmp_path).fill(lambda b: teacher(b) | {"logits": torch.rand(len(b), 5)}, batch_size=3)
    with pytest.raises(NonFiniteError, match=r"'logits' is not finite as torch\.float16 for sample ids \[0, 2, 4\]"):
        open_cache(tmp_path).fill(lambda b: teacher(b) | {"logits": torch.full((len(b), 4), 1e6)}, batch_size=3)
    with pytest.raises(ConfigError, match=r"cannot be kept as torch\.int64"):
        open_cache(tmp_path, layers={"logits": LayerSpec((4,), torch.int64)})
    assert files(tmp_path) == []


def test_progress_counts_samples_times_views(tmp_path):
    told = []
    open_cache(tmp_path).fill(teacher, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 20), (8, 20), (10, 20), (14, 20), (18, 20), (20, 20)]


def _killed_half_way(folder: Path) -> None:
    def half(batch: Batch):
        if batch.views is not None and batch.views[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return teacher(batch)

    open_cache(folder).fill(half, batch_size=3)


def _fill_slowly(folder: Path, ready, results) -> None:
    cache = open_cache(folder)

    def slow(batch: Batch):
        time.sleep(0.02)
        return teacher(batch)

    ready.wait()
    cache.fill(slow, batch_size=2)
    results.put(cache.lookup(torch.tensor([2, 18]), torch.tensor([1, 0]))["layer3"].tolist())


def test_a_killed_fill_is_not_taken_for_a_full_one(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_killed_half_way, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    leftovers = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(leftovers) == 2
    cache = open_cache(tmp_path)
    assert set(cache.missing) == set(LAYERS)
    cache.fill(teacher)
    assert not any(path.exists() for path in leftovers)
    assert open_cache(tmp_path).missing == {}


def test_two_processes_that_fill_one_key_do_not_harm_each_other(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_fill_slowly, args=(tmp_path, ready, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    cache = open_cache(tmp_path)
    assert cache.missing == {}
    expected = cache.lookup(torch.tensor([2, 18]), torch.tensor([1, 0]))["layer3"].tolist()
    assert found == [expected, expected]
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name.startswith(".fill")) == []


def test_facts_say_what_it_is_keyed_by(tmp_path):
    facts = open_cache(tmp_path).facts()
    assert facts["keyed_by"]["teacher"] == "weights-1" and facts["keyed_by"]["views"] == ["image", "mirror"]
    assert facts["bytes"] == 2080 and set(facts["to_fill"]) == set(LAYERS)
    json.dumps(facts)
