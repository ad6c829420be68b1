"""While a GPU trains on one category, another process prepares the next one."""

import pytest
from trees import tree

from mfkit.data import DataSet, read_category
from mfkit.experiment import CategoryFolder, FeatureFolder, Job, choose_preset, do_here
from mfkit.experiment.here import overlaps, prepared_beside
from mfkit.features import Backbone, FeatureStore


def job(root, name: str, out, preset: str = "workshop") -> Job:
    data = DataSet(root)
    home = CategoryFolder(out / name), FeatureFolder(out / "features" / name)
    return Job(read_category(data, name), data, choose_preset(preset), 0, "cpu", *home)


@pytest.mark.slow
def test_another_process_makes_what_the_job_would_make(tmp_path, monkeypatch):
    """With the real backbone, which a process that knows nothing of this test can load."""
    tree(tmp_path / "data", train=2, sound=1, codes={"BX": 1})
    ahead = job(tmp_path / "data", "audiojack", tmp_path)
    assert prepared_beside(ahead).wait(timeout=300) == 0
    stores = {split: FeatureStore(ahead.features.features(split)) for split in ("train", "test")}
    assert [len(store) for store in stores.values()] == [2, 2]
    monkeypatch.setattr(Backbone, "forward", shape_only(Backbone.forward))
    ahead.prepare()  # finds everything there


def shape_only(forward):
    """A backbone that may tell its shape, with a single blank image, and no more."""

    def checked(self, images):
        assert len(images) == 1 and not images.any(), "features were computed again"
        return forward(self, images)

    return checked


def test_a_job_that_cannot_be_prepared_says_so_by_its_exit_code(tmp_path):
    tree(tmp_path / "data", train=2, sound=1, codes={"BX": 1})
    ahead = job(tmp_path / "data", "audiojack", tmp_path)
    (tmp_path / "features").write_text("in the way")
    assert prepared_beside(ahead).wait(timeout=300) != 0


class Beside:
    """In place of a process: notes what happens to it."""

    def __init__(self, notes: list, name: str, code: int):
        self.notes, self.name, self.code = notes, name, code

    def wait(self) -> int:
        self.notes.append(f"waited for {self.name}")
        return self.code

    def terminate(self) -> None:
        self.notes.append(f"ended {self.name}")


@pytest.fixture
def notes(tiny_preset, monkeypatch) -> list[str]:
    """What `do_here` does, in order, where a GPU trains."""
    noted: list[str] = []

    def beside(ahead: Job) -> Beside:
        noted.append(f"began {ahead.category.name}")
        return Beside(noted, ahead.category.name, ahead.category.name == "mint")

    monkeypatch.setattr("mfkit.experiment.here.overlaps", lambda device: True)
    monkeypatch.setattr("mfkit.experiment.here.prepared_beside", beside)
    monkeypatch.setattr(
        Job, "run", lambda self: noted.append(f"did {self.category.name}") or {"done": True}
    )
    return noted


def jobs(tmp_path) -> dict[str, Job]:
    """Two of audiojack, one of mint and one of usb."""
    made = {}
    for name in ("audiojack", "mint", "usb"):
        tree(tmp_path / "data", name, train=2, sound=1, codes={"BX": 1})
        made[f"{name} 1"] = job(tmp_path / "data", name, tmp_path)
    return {"audiojack 0": made["audiojack 1"], **made}


def test_the_next_category_is_begun_with_the_first_job_of_this_one(tmp_path, notes, capsys):
    assert len(list(do_here(jobs(tmp_path)))) == 4
    assert notes == [
        *("began mint", "did audiojack", "did audiojack", "waited for mint"),
        *("began usb", "did mint", "waited for usb", "did usb"),
    ]
    assert "mint: its features are not there yet" in capsys.readouterr().out


def test_it_ends_with_who_began_it(tmp_path, notes):
    work = do_here(jobs(tmp_path))
    next(work)
    work.close()
    assert notes == ["began mint", "did audiojack", "ended mint", "waited for mint"]


def test_on_a_processor_both_would_wait_for_the_same_cores():
    assert not overlaps("cpu") and overlaps("cuda:0") and overlaps("mps")
