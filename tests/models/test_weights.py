import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from kantor.core.errors import ConfigError, DataError
from kantor.models import load
from kantor.models.weights import read_weights, write_weights


@pytest.fixture
def network():
    return load("resnet8", classes=4).network


def test_round_trip_keeps_bits_types_and_metadata(tmp_path):
    tied = torch.randn(3, 4)
    tensors = {"a": tied, "b": tied, "c": tied.T, "half": torch.randn(2).bfloat16(), "n": torch.tensor(3)}
    write_weights(tmp_path / "w.safetensors", tensors, {"spec": "mlp", "size": None})
    found, metadata = read_weights(tmp_path / "w.safetensors")
    assert metadata == {"spec": "mlp", "size": None}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) and found[key].dtype == tensors[key].dtype for key in tensors)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}])
def test_pickled_state_dicts(tmp_path, network, wrap):
    torch.save(wrap(network.state_dict()), tmp_path / "w.pt")
    found = load(f"resnet8:{tmp_path / 'w.pt'}")
    assert found.num_classes == 4
    assert torch.equal(found.network.get_parameter("linear.weight"), network.linear.weight)


def test_nothing_in_a_pickle_is_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return (open, (str(tmp_path / "it ran"), "w"))

    (tmp_path / "w.pt").write_bytes(pickle.dumps(Runs(), protocol=2))
    torch.save({"weight": torch.zeros(1), "extra": Runs()}, tmp_path / "zip.pt")
    for name in ("w.pt", "zip.pt"):
        with pytest.raises(DataError, match=name):
            read_weights(tmp_path / name)
    assert not (tmp_path / "it ran").exists()


def test_files_that_cannot_be_read(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save(network.state_dict(), tmp_path / "w.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "w.pt").read_bytes()[:1000])
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "w.onnx").write_bytes(b"")
    for name, message in {
        "missing.safetensors": "no weights file",
        "half.safetensors": "damaged",
        "half.pt": "damaged|more than tensors",
        "list.pt": "no state dict",
        "w.onnx": "are read from .safetensors",
    }.items():
        with pytest.raises(DataError, match=message):
            read_weights(tmp_path / name)


def test_keys_that_do_not_fit_are_named(tmp_path, network):
    state = network.state_dict()
    state["body.extra"] = state.pop("conv1.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"resnet8 .*1 missing.*\(conv1\.weight\).*1 not in the model \(body\.extra\)"):
        load(f"resnet8:{tmp_path / 'w.safetensors'}")


def test_another_architecture_says_how_much_is_missing(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"30 missing from the file \(layer1\.1\.conv1\.weight.*\.\.\.\)"):
        load(f"resnet14:{tmp_path / 'w.safetensors'}")


def test_shapes_that_do_not_fit_are_both_named(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"conv1\.weight is 16x3x3x3 in the file, 32x3x3x3 in the model"):
        load(f"resnet8@width=2:{tmp_path / 'w.safetensors'}")
    with pytest.raises(DataError, match=r"linear\.weight is 4x64 in the file, 7x64 in the model"):
        load(f"resnet8:{tmp_path / 'w.safetensors'}", classes=7)


def test_classes_are_read_from_the_classifier(tmp_path):
    for name, shape in (("resnet8", (3, 32, 32)), ("cnn", (3, 32, 32)), ("vit", (3, 32, 32)), ("mlp", (12,))):
        save_file(load(name, classes=6, input_shape=shape).network.state_dict(), tmp_path / "w.safetensors")
        found = load(f"{name}:{tmp_path / 'w.safetensors'}", input_shape=shape)
        assert found.num_classes == 6
        assert found.class_names is None


def test_old_files_without_step_counts(tmp_path, network):
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "w.safetensors")
    found = load(f"resnet8:{tmp_path / 'w.safetensors'}").network
    assert torch.equal(found.get_parameter("conv1.weight"), network.conv1.weight)


def test_a_weightless_file_says_that_its_classes_are_unknown(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="how many classes"):
        load(f"resnet8:{tmp_path / 'w.safetensors'}")


def test_classes_that_contradict_the_file(tmp_path):
    path = tmp_path / "w.safetensors"
    load("cnn", classes=["cat", "dog", "ship"]).save(path)
    assert load(f"cnn:{path}", classes=3).class_names == ["cat", "dog", "ship"]
    assert load(f"cnn:{path}", classes=["cat", "dog", "ship"]).num_classes == 3
    with pytest.raises(ConfigError, match="for 3 classes; 4 are asked for"):
        load(f"cnn:{path}", classes=4)
    with pytest.raises(ConfigError, match="class 1 is 'dog'; 'ship' is asked for"):
        load(f"cnn:{path}", classes=["cat", "ship", "dog"])


def test_saved_files_are_plain_safetensors(tmp_path):
    model = load("vit", classes=2)
    model.save(tmp_path / "w.safetensors")
    assert load_file(tmp_path / "w.safetensors").keys() == model.network.state_dict().keys()


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"cos\nsystem\n.", b"\x80\x02}q\x00.", b"K\x01.", b"garbage", b"(."]
)
def test_other_pickles(tmp_path, content):
    (tmp_path / "odd.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.pt"):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize("key", ["net", "model_state_dict", "weights"])
def test_a_trainers_checkpoint_holds_one_state_dict_under_any_name(tmp_path, network, key):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1).state_dict()
    torch.save({"epoch": 3, "optimizer": optimizer, key: network.state_dict()}, tmp_path / "w.pt")
    assert load(f"resnet8:{tmp_path / 'w.pt'}").num_classes == 4
    torch.save({key: network.state_dict(), "ema": network.state_dict()}, tmp_path / "w.pt")
    with pytest.raises(DataError, match=rf"holds several state dicts \({key}, ema\)"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [{1: torch.ones(1)}, [1], {"a": 1}, {"model": {"a": "b"}}, torch.ones(2), None])
def test_a_pickle_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(DataError, match=r"odd\.pt holds no state dict"):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "model.", "module.", "module._orig_mod.", "model.module.", "student.", "net.encoder."]
)
def test_what_wrappers_put_before_every_name_is_taken_off_and_said(tmp_path, network, prefix):
    wrapped = {prefix + key: x.clone() for key, x in network.state_dict().items()}
    save_file(wrapped, tmp_path / "w.safetensors")
    for classes in (4, None):
        with pytest.warns(UserWarning, match=rf"w\.safetensors: '{prefix}' before every name .* taken off"):
            loaded = load(f"resnet8:{tmp_path / 'w.safetensors'}", classes=classes)
        assert loaded.num_classes == 4
        for key, x in loaded.network.state_dict().items():
            assert torch.equal(x, network.state_dict()[key])


def test_a_prefix_is_left_where_what_follows_is_not_the_network(tmp_path, network):
    wrapped = {f"model.{key}": x.clone() for key, x in network.state_dict().items()} | {"model.other": torch.zeros(1)}
    save_file(wrapped, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"model\."):
        load(f"resnet8:{tmp_path / 'w.safetensors'}", classes=4)


ODD = {
    "whole numbers as names": (lambda state: {1: torch.zeros(3), 2: torch.zeros(3)}, "no state dict"),
    "sparse": (lambda state: {k: v.to_sparse() if v.ndim > 1 else v for k, v in state.items()}, "is sparse"),
    "meta": (lambda state: {k: v.to("meta") for k, v in state.items()}, "on the meta device"),
    "complex": (lambda state: {k: v.to(torch.complex64) for k, v in state.items()}, "is complex"),
}


@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_are_no_plain_numbers_by_name(tmp_path, network, kind):
    made, said = ODD[kind]
    torch.save(made(network.state_dict()), tmp_path / "odd.pt")
    with pytest.raises(DataError, match=f"odd.pt.*{said}"):
        load(f"resnet8:{tmp_path / 'odd.pt'}", classes=4)


def test_what_torch_did_not_save_is_not_called_dangerous(tmp_path):
    for content in (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", b"<!DOCTYPE html>", b""):
        (tmp_path / "odd.pt").write_bytes(content)
        with pytest.raises(DataError, match=r"nothing that torch saved.*git lfs pull"):
            read_weights(tmp_path / "odd.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_program_is_named_as_one(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "odd.pt")
    with pytest.raises(DataError, match="TorchScript"):
        read_weights(tmp_path / "odd.pt")


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "w.pt"
    weight = torch.arange(1000.0)
    torch.save({"weight": weight}, path)
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes()) + 2000] ^= 64
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged: the checksum"):
        read_weights(path)


@pytest.mark.parametrize("bits", [1, 128, 255])
def test_a_damaged_directory_of_a_torch_file_is_a_message(tmp_path, bits):
    path = tmp_path / "w.pt"
    torch.save({"weight": torch.arange(4.0)}, path)
    whole = path.read_bytes()
    for place in range(whole.index(b"PK\1\2"), len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
        try:
            assert torch.equal(read_weights(path)[0]["weight"], torch.arange(4.0))  # what nobody reads may be damaged
        except DataError as error:
            assert str(path) in str(error)
