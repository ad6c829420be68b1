"""The state of a training on disk: written after every epoch, read where it resumes."""

import math
from numbers import Real
from pathlib import Path
from textwrap import shorten

import pandas as pd

from mfkit.errors import InputError
from mfkit.experiment.form import misfit
from mfkit.experiment.run_folder import CategoryFolder
from mfkit.experiment.settings import Training
from mfkit.files import whole_file
from mfkit.flow import MultiFlow, load_state, save_state

__all__ = ["Best", "Checkpoint"]

FORM = {
    "settings": {"flow": dict},
    "history": [{"epoch": int, "loss": Real, "seconds": Real}],
    "flow": dict,
    "optimizer": {"state": dict, "param_groups": list},
    "schedule": {"last_epoch": int},
}
"""What every checkpoint has that any mfkit wrote."""


class Checkpoint:
    """`checkpoint.pt`, from which a training continues, and its `history.csv`.

    Arguments:
        folder: where both live.
        identity: what must agree for a checkpoint to be continued; its keys name it in messages.
        formerly: what an earlier mfkit may have called the same values, by key.
        parts: what has a state: flow, optimizer, schedule.
    """

    def __init__(self, folder: str | Path, identity: dict, formerly: dict, **parts):
        self.path, self.history = CategoryFolder(folder).checkpoint, CategoryFolder(folder).history
        self.identity, self.formerly, self.parts = identity, formerly, parts

    def restore(self) -> list[dict]:
        """Load the parts' earlier states, if there are any.

        Returns:
            the rows of the history so far, one an epoch; none without a checkpoint.

        Raises:
            InputError: the checkpoint is damaged, or was made with other settings.
        """
        if not self.path.exists():
            return []
        state = self._read()
        earlier = Training().identity() | state["settings"]  # what was not known was so
        earlier["flow"] = {"whiten": False, "linear": False} | earlier["flow"]
        changed = [
            key
            for key, value in self.identity.items()
            if earlier.get(key) != value
            and (earlier.get(key) is None or earlier[key] != self.formerly.get(key))
        ]
        if changed:
            raise InputError(
                f"{self.path} was trained with another {' and '.join(changed)}: choose the same "
                "settings, another --out, or delete the folder"
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except Exception as error:  # a part's state may be anything
            raise self._damaged(error) from error
        self._write(state["history"])  # an end right after the checkpoint may have missed a row
        return state["history"]

    def _read(self) -> dict:
        """What the file holds, in the form that `save` gave it."""
        try:
            state = load_state(self.path)
        except Exception as error:  # whatever somebody put there
            raise self._damaged(error) from error
        wrong = misfit(state, FORM, "it")
        if not wrong:
            epochs = [row["epoch"] for row in state["history"]]
            right = epochs and epochs == list(range(1, len(epochs) + 1))
            wrong = None if right else "its epochs have gaps"
        if wrong:
            raise self._damaged(wrong)
        return state

    def _damaged(self, reason: object) -> InputError:
        short = shorten(str(reason), 200)  # PyTorch lists all weights
        return InputError(
            f"{self.path} is damaged ({short}): delete it, and training starts from the beginning"
        )

    def save(self, history: list[dict]) -> None:
        """Replace checkpoint and history, each whole or not at all."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        save_state({"settings": self.identity, "history": history, **states}, self.path)
        self._write(history)

    def _write(self, history: list[dict]) -> None:
        with whole_file(self.history) as draft:
            pd.DataFrame(history).to_csv(draft, index=False)


class Best:
    """The weights with which a flow did best so far, on samples that it did not learn from.

    Arguments:
        flow: whose weights; they are copied.
    """

    def __init__(self, flow: MultiFlow):
        self.flow, self.loss, self.weights = flow, math.inf, {}

    def keep(self, loss: float) -> None:
        """Remember the flow's weights if this loss is the lowest."""
        if loss < self.loss:
            weights = self.flow.state_dict()
            self.loss = loss
            self.weights = {name: value.clone() for name, value in weights.items()}

    def restore(self) -> None:
        """Give the flow the weights that are remembered, if any are."""
        if self.weights:
            self.flow.load_state_dict(self.weights)

    def state_dict(self) -> dict:
        """For a checkpoint."""
        return {"loss": self.loss, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """Back from a checkpoint."""
        self.loss, self.weights = state["loss"], state["weights"]
