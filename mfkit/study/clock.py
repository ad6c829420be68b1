"""How far a study has come, and how long the rest will take."""

import time

from mfkit.study.forecast import Forecast

__all__ = ["Clock"]


class Clock:
    """Counts trials by what they were foreseen to take; the pace so far tells about the rest.

    Arguments:
        forecast: of the trials that are left.
        done: how many were done before.
    """

    def __init__(self, forecast: Forecast, done: int):
        self.forecast, self.before, self.start = forecast, done, time.monotonic()
        self.ended: set[str] = set()

    def end(self, name: str) -> None:
        """A trial is done, or has failed."""
        self.ended.add(name)

    def summary(self) -> str:
        """What was foreseen for the trials that have ended, and what they took."""
        foreseen = sum(map(self.forecast.of, self.ended))
        took = time.monotonic() - self.start
        return f"foreseen {_time(foreseen)} of one worker, took {_time(took)}"

    def __str__(self) -> str:
        count, whole = len(self.ended), len(self.forecast.jobs)
        gone = sum(map(self.forecast.of, self.ended))
        left = sum(self.forecast.of(name) for name in self.forecast.jobs if name not in self.ended)
        pace = (time.monotonic() - self.start) / gone if gone else 1.0  # seconds for one foreseen
        return f"{self.before + count} of {self.before + whole} trials, {_time(left * pace)} left"


def _time(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> _time(40), _time(400), _time(7_300)
        ('40 s', '7 min', '2 h 2 min')
    """
    if seconds < 180:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
