"""The time that is left of a study, whatever the order in which its trials end."""

from types import SimpleNamespace

import numpy as np

from mfkit.study.clock import Clock


def clock(foreseen: dict[str, float], done: int = 0) -> Clock:
    return Clock(SimpleNamespace(jobs=foreseen, of=foreseen.get), done)


def test_nothing_is_left_when_all_trials_have_ended():
    """Sums of times differ in their last digit with the order: the rest must not fall below 0."""
    for draw in range(100):
        random = np.random.default_rng(draw)
        foreseen = {str(number): random.uniform(0, 9) for number in range(14)}
        ended = clock(foreseen, done=2)
        for name in random.permutation(list(foreseen)):
            ended.end(name)
        assert str(ended) == "16 of 16 trials, 0 s left"


def test_what_is_left_goes_on_at_the_pace_so_far(monkeypatch):
    begun = clock({"a": 60, "b": 120, "c": 240})
    assert str(begun) == "0 of 3 trials, 7 min left"
    monkeypatch.setattr("time.monotonic", lambda: begun.start + 120)
    begun.end("c")
    assert str(begun) == "1 of 3 trials, 90 s left"
    assert begun.summary() == "foreseen 4 min of one worker, took 120 s"
