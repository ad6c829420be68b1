"""Which files a run leaves, and what they are called."""

from pathlib import Path

__all__ = ["CategoryFolder", "FeatureFolder", "RunFolder"]


class RunFolder:
    """`--out` of a run: one file of results, and a folder for each category.

    Attributes:
        results: metrics, settings, versions.
        results_lock: held while `results` is replaced.
        features: where features lie if no other folder is named.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.results = self.path / "results.json"
        self.results_lock = self.path / ".results.lock"
        self.features = self.path / "features"

    def category(self, name: str) -> "CategoryFolder":
        """The files of one category."""
        return CategoryFolder(self.path / name)


class CategoryFolder:
    """What a run leaves of one category.

    Attributes:
        model, checkpoint, history: weights; where training continues; the loss of each epoch.
        description: what the model has to know to score pictures.
        held_out: scores of sound samples that training has not seen.
        scores, maps, overview: of the test samples.
        lost_views: S-AUROC if views are missing, where that was asked for.
        adeval: for the official tool.
        program, feature_program, onnx, card: of the deployed model.
        lock: held by the process that works here.
        stages: folders of files that belong to a result and have not got their places yet.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.model = self.path / "model.pt"
        self.description = self.path / "model.json"
        self.checkpoint = self.path / "checkpoint.pt"
        self.history = self.path / "history.csv"
        self.held_out = self.path / "held_out.csv"
        self.scores = self.path / "scores.csv"
        self.maps = self.path / "maps.npy"
        self.overview = self.path / "overview.png"
        self.lost_views = self.path / "lost_views.csv"
        self.adeval = self.path / "adeval.pkl"
        self.program = self.path / "score.pt2"
        self.feature_program = self.path / "score_features.pt2"
        self.onnx = self.path / "score.onnx"
        self.card = self.path / "README.md"
        self.lock = self.path / ".lock"

    @property
    def stages(self) -> list["CategoryFolder"]:
        return [CategoryFolder(path) for path in sorted(self.path.glob(".result-*"))]

    def stage(self, mark: str) -> "CategoryFolder":
        """Where the files of a result are written before they replace those of an older one."""
        return CategoryFolder(self.path / f".result-{mark}")


class FeatureFolder:
    """Features and foreground masks of one category by one backbone; several runs may share it.

    Attributes:
        digests: of the category's images and masks, so that they need not all be read again.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.digests = self.path / "digests.json"

    def features(self, split: str) -> Path:
        """The feature store of "train" or "test"."""
        return self.path / f"{split}.f16"

    def foreground(self, split: str, masks: str) -> Path:
        """The store of foreground masks of that name."""
        return self.path / f"{split}-{masks}.bool"

    def clear(self) -> None:
        """Delete features and masks, which can be made again; the digests stay."""
        for store in [*self.path.glob("*.f16"), *self.path.glob("*.bool")]:
            for suffix in (".json", ".crc", ".lock"):
                store.with_suffix(suffix).unlink(missing_ok=True)
            store.unlink(missing_ok=True)
