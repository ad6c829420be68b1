"""The state of a training on disk: written after every epoch, read where it resumes."""

from pathlib import Path

import pandas as pd
import torch

from mfkit.errors import InputError
from mfkit.experiment.run_folder import CategoryFolder
from mfkit.experiment.settings import Training
from mfkit.files import whole_file
from mfkit.flow import save_state

__all__ = ["Checkpoint"]


class Checkpoint:
    """`checkpoint.pt`, from which a training continues, and its `history.csv`.

    Arguments:
        folder: where both live.
        identity: what must agree for a checkpoint to be continued; its keys name it in messages.
        parts: what has a state: flow, optimizer, schedule.
    """

    def __init__(self, folder: str | Path, identity: dict, **parts):
        self.path, self.history = CategoryFolder(folder).checkpoint, CategoryFolder(folder).history
        self.identity, self.parts = identity, parts

    def restore(self) -> list[dict]:
        """Load the parts' earlier states, if there are any.

        Returns:
            the rows of the history so far, one an epoch; none without a checkpoint.

        Raises:
            InputError: the checkpoint is damaged, or was made with other settings.
        """
        if not self.path.exists():
            return []
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            earlier = Training().identity() | state["settings"]  # what was not known was so
            earlier["flow"] = {"whiten": False} | earlier["flow"]
        except Exception as error:  # torch.load raises almost anything for a file not its own
            raise InputError(
                f"{self.path} is damaged ({error}): delete it, and training starts from the "
                "beginning"
            ) from error
        changed = [key for key, value in self.identity.items() if earlier.get(key) != value]
        if changed:
            raise InputError(
                f"{self.path} was trained with another {' and '.join(changed)}: choose the same "
                "settings, another --out, or delete the folder"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self._write(state["history"])  # an end right after the checkpoint may have missed a row
        return state["history"]

    def save(self, history: list[dict]) -> None:
        """Replace checkpoint and history, each whole or not at all."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        save_state({"settings": self.identity, "history": history, **states}, self.path)
        self._write(history)

    def _write(self, history: list[dict]) -> None:
        with whole_file(self.history) as draft:
            pd.DataFrame(history).to_csv(draft, index=False)
