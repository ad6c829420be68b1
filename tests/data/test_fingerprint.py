"""The same contents are the same data; other contents are not, whatever sizes and times say."""

import hashlib
import json
import os
import shutil

import pytest
from trees import edit, tree

from mfkit.data import (
    Digests,
    data_fingerprint,
    fingerprint,
    former_data_fingerprints,
    images_fingerprint,
    read_category,
)
from mfkit.errors import InputError


@pytest.fixture
def root(tmp_path):
    tree(tmp_path / "data")
    return tmp_path / "data"


def category(root):
    return read_category(root, "audiojack")


def other_bytes(path):
    """Other contents of the same size, and the clock set back."""
    status, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-9] + bytes(255 - byte for byte in content[-9:]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("kind", ["*_C3_*.jpg", "*_C3_*.png"])
def test_contents_count_though_size_and_time_stay(root, tmp_path, kind):
    digests = Digests(root, tmp_path / "digests.json")
    before = data_fingerprint(category(root), digests)
    other_bytes(next((root / "realiad_256" / "audiojack" / "NG" / "BX" / "S0001").glob(kind)))
    for again in (digests, Digests(root, tmp_path / "digests.json"), None):
        assert data_fingerprint(category(root), again) != before


def test_places_and_times_do_not_count(root, tmp_path):
    before = data_fingerprint(category(root))
    images = images_fingerprint("lite0", category(root).train)
    for path in root.rglob("*.jpg"):
        os.utime(path, (1, 1))
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(root)
    assert data_fingerprint(category(tmp_path / "copy")) == before
    assert images_fingerprint("lite0", category(tmp_path / "copy").train) == images
    assert images_fingerprint("lite1", category(tmp_path / "copy").train) != images


@pytest.mark.parametrize("change", ["label", "order", "missing"])
def test_labels_order_and_presence_count(root, change):
    before = category(root)
    file = root / "realiad_jsons" / "audiojack.json"
    if change == "label":
        edit(file, lambda t: t["test"][-5].update(anomaly_class="OK", mask_path=None))
        assert data_fingerprint(category(root)) != data_fingerprint(before)
    elif change == "order":
        turned = before.train[::-1]
        assert images_fingerprint("", turned) != images_fingerprint("", before.train)
    else:
        edit(file, lambda t: t["train"].pop(0))
        with pytest.warns(UserWarning, match="lack views"):
            lacking = read_category(root, "audiojack", missing_views="allow")
        assert data_fingerprint(lacking) != data_fingerprint(before)


def test_what_is_remembered_is_not_read_again(root, tmp_path, monkeypatch):
    memory = tmp_path / "digests.json"
    before = data_fingerprint(category(root), Digests(root, memory))
    assert not any(name.startswith("/") for name in json.loads(memory.read_text()))
    root.rename(tmp_path / "moved")
    read, digest = [], fingerprint._digest
    monkeypatch.setattr(fingerprint, "_digest", lambda path: read.append(path) or digest(path))
    moved = tmp_path / "moved"
    assert data_fingerprint(category(moved), Digests(moved, memory)) == before and read == []
    os.utime(category(moved).train[0].images[2])
    assert data_fingerprint(category(moved), Digests(moved, memory)) == before and len(read) == 1


def test_an_interruption_loses_no_digest(root, tmp_path, monkeypatch):
    memory, digest, calls = tmp_path / "digests.json", fingerprint._digest, []

    def interrupted(path):
        calls.append(path)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return digest(path)

    monkeypatch.setattr(fingerprint, "BLOCK", 1)
    monkeypatch.setattr(fingerprint, "_digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data_fingerprint(category(root), Digests(root, memory))
    assert len(json.loads(memory.read_text())) == 19


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [1, 2]}', "[" * 10_000, "\0\xff"])
def test_a_damaged_memory_is_as_good_as_none(root, tmp_path, content):
    memory = tmp_path / "digests.json"
    memory.write_text(content, encoding="latin-1")
    digests = Digests(root, memory)
    assert data_fingerprint(category(root), digests) == data_fingerprint(category(root))
    assert len(json.loads(memory.read_text())) > 10


def test_a_memory_that_cannot_be_written_is_no_trouble(root):
    """Features may be shared out of a folder of someone else."""
    for memory in (
        "/proc/digests.json",
        root / "realiad_jsons" / "audiojack.json" / "digests.json",
    ):
        assert data_fingerprint(category(root), Digests(root, memory))


def test_what_is_no_regular_file_is_named(root, tmp_path):
    image = category(root).train[0].images[0]
    image.unlink()
    os.mkfifo(image)
    with pytest.raises(InputError, match=f"{image.name} is no regular file"):
        data_fingerprint(category(root))
    image.unlink()
    image.symlink_to(image)
    with pytest.raises(InputError, match=image.name):
        data_fingerprint(category(root))


def test_fingerprints_of_an_earlier_mfkit_are_known_at_both_places(root, tmp_path):
    digest = hashlib.sha256()  # as it was: names, sizes and labels
    for split, samples in category(root).splits.items():
        for sample in samples:
            for image, label, mask in zip(sample.images, sample.labels, sample.masks, strict=True):
                sizes = [path and path.stat().st_size for path in (image, mask)]
                state = f"{split} {image} {mask} {sizes} {sample.label} {label}\n"
                digest.update(os.fsencode(state))
    assert former_data_fingerprints(category(root), str(root), str(root)) == {digest.hexdigest()}
    moved = root.rename(tmp_path / "moved")
    assert digest.hexdigest() in former_data_fingerprints(category(moved), str(moved), str(root))
