"""Files of weights: whole, and what they say is what was written."""

import signal
import zipfile

import pytest
import torch

from mfkit.errors import InputError
from mfkit.flow import MultiFlow, load_flow, load_state, save_flow, save_state


@pytest.fixture
def model(tmp_path):
    save_flow(MultiFlow(6, 4, 3, blocks=1, hidden=4), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_one_bit_of_the_weights_is_noticed(model):
    content = bytearray(model.read_bytes())
    with zipfile.ZipFile(model) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
        at = content.find(archive.read(largest.filename))
    content[at + largest.file_size // 2] ^= 1
    model.write_bytes(content)
    assert torch.load(model, weights_only=True)  # PyTorch does not notice
    with pytest.raises(InputError, match=r"model.pt is not a model .* checksum of its part"):
        load_flow(model)


def test_an_interruption_of_the_writer_is_an_interruption(tmp_path):
    """PyTorch's writer would make a RuntimeError of it, and a run would go on."""
    save_state({"old": torch.ones(1)}, tmp_path / "state.pt")

    def end(*_):
        raise KeyboardInterrupt

    state = {str(number): torch.zeros(100_000) for number in range(200)}
    before = signal.signal(signal.SIGALRM, end)
    try:
        for seconds in (0.002, 0.01, 0.03):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            with pytest.raises(KeyboardInterrupt):
                while True:
                    save_state(state, tmp_path / "state.pt")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    assert set(load_state(tmp_path / "state.pt")) in ({"old"}, set(state))
