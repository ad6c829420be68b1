"""Parts on disk -> a table of verdicts, and pictures of where they come from."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from mfkit import escape, plot
from mfkit.data import Sample
from mfkit.errors import InputError
from mfkit.files import whole_file
from mfkit.inspection.parts import Part, find_parts
from mfkit.inspection.scorer import (
    Pictures,
    PictureScorer,
    Verdicts,
    alarm_rate,
    load_scorer,
    take,
)

__all__ = ["COLUMNS", "FAILED", "score_pictures", "score_table", "threshold_sentence"]

COLUMNS = (
    "sample",
    "score",
    "agreement",
    "p_value",
    "verdict",
    "because",
    "camera",
    "x",
    "y",
    "note",
)
"""See `score_pictures`."""
FAILED = "failed"
PIXELS = 4 * 256**2  # a view: what goes through the backbone together, as in a run


def score_pictures(
    model: str | Path,
    pictures: str | Path | Sequence[str | Path],
    out: str | Path = "runs/score",
    maps: bool = False,
    false_alarms: float | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """Score parts that have been photographed, and write the table of verdicts.

    Writes `out/verdicts.csv` and, with `maps`, `out/maps/NUMBER_NAME.png` for each part.

    Arguments:
        model: the folder that a run leaves for a category, `OUT/NAME`.
        pictures: see `mfkit.inspection.find_parts`; one or several.
        out: folder of what is written.
        maps: draw the pictures and score maps of each part, all on the model's one scale.
        false_alarms: rate of false alarms that shall not be exceeded on average; None takes 5 %, or
            the smallest that the model's held-out samples can promise.
        device: see `mfkit.experiment.choose_device`.

    Returns:
        a row for each part: sample (its folder, or what the JSON file calls it), score in nats per
        channel, agreement in spreads above what is usual, p_value, verdict ("alarm", "sound",
        "scored" where the model has no threshold, or "failed"), because (of "likelihood" or
        "agreement", which of them is the more unusual), camera and x, y (px in its picture) where
        that is seen most, note.

    Raises:
        InputError: no such model, a rate that it cannot promise, or not one part was found.
    """
    scorer = load_scorer(model, device)
    print(threshold_sentence(scorer, false_alarms))
    pictures = [pictures] if isinstance(pictures, str | Path) else pictures
    parts = find_parts(pictures, scorer.description)
    table = _table(scorer, parts, Path(out) / "maps" if maps else None, false_alarms)
    cells = table.assign(**{name: table[name].map(escape.cell) for name in ("sample", "note")})
    with whole_file(Path(out) / "verdicts.csv") as draft:
        cells.to_csv(draft, index=False, errors="backslashreplace")
    return table


def score_table(scorer: PictureScorer, samples: Sequence[Sample]) -> pd.DataFrame:
    """The same table of samples that have been read; see `score_pictures`."""
    return _table(scorer, [Part(sample.name, sample) for sample in samples])


def _table(
    scorer: PictureScorer,
    parts: Sequence[Part],
    maps: Path | None = None,
    false_alarms: float | None = None,
) -> pd.DataFrame:
    rate = alarm_rate(scorer.description.held_out, false_alarms)
    rows: list[dict] = []
    with tqdm(total=len(parts), desc="parts") as bar:
        for part, taken, verdicts in _verdicts(scorer, parts, rate):
            row = dict.fromkeys(COLUMNS) | {"sample": part.name, "note": part.note}
            if verdicts is None:
                row["verdict"] = FAILED
            else:
                row |= _row(scorer, taken, verdicts)
                if maps is not None:
                    _draw(scorer, part, taken, verdicts, row, maps, len(rows) + 1)
            rows.append(row)
            bar.update()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def threshold_sentence(scorer: PictureScorer, false_alarms: float | None = None) -> str:
    """What an alarm of this model means, in a sentence."""
    held = scorer.description.held_out
    rate = alarm_rate(held, false_alarms)
    if held is None:
        return (
            "no threshold: the model was trained without held-out samples (--held-out), so parts "
            "are scored but not judged"
        )
    count = len(held.samples)
    return (
        f"alarm: p-value at most {rate:.4g}, so at most {rate:.3g} of sound parts are false alarms "
        f"on average, as long as they come as the {count} held-out ones did (which can promise "
        f"{1 / (count + 1):.3g} at best)"
    )


def _verdicts(
    scorer: PictureScorer, parts: Sequence[Part], rate: float | None
) -> Iterator[tuple[Part, Pictures | None, Verdicts | None]]:
    """The parts in their order, each with its pictures and a verdict of its own.

    Pictures are read one batch ahead; what goes wrong becomes the note of a part.
    """
    batch = max(1, PIXELS // scorer.backbone.size**2)
    groups = [parts[start : start + batch] for start in range(0, len(parts), batch)]

    def load(part: Part) -> Pictures | InputError | None:
        try:
            return part.sample and take(part.sample, scorer.description)
        except InputError as fault:
            return fault

    with ThreadPoolExecutor(4) as pool:
        ahead = [pool.submit(load, part) for part in groups[0]] if groups else []
        for group, following in zip(groups, [*groups[1:], []], strict=True):
            loaded = [future.result() for future in ahead]
            ahead = [pool.submit(load, part) for part in following]
            good = [taken for taken in loaded if isinstance(taken, Pictures)]
            whole = scorer(good, rate) if good else None
            place = 0
            for part, taken in zip(group, loaded, strict=True):
                if isinstance(taken, Pictures):
                    yield part, taken, _one(whole, place)
                    place += 1
                else:
                    note = part.note if taken is None else str(taken)
                    yield Part(part.name, None, note), None, None


def _one(verdicts: Verdicts, place: int) -> Verdicts:
    """The verdict of one part out of a batch."""
    scores, agreement, p_values, alarms = verdicts
    return Verdicts(
        type(scores)(*(each[place] for each in scores)),
        agreement and type(agreement)(*(each[place] for each in agreement)),
        p_values[place],
        alarms[place],
    )


def _row(scorer: PictureScorer, taken: Pictures, verdict: Verdicts) -> dict:
    """What the table says of one part."""
    scores, agreement, p_value, alarm = verdict
    held, shown = scorer.description.held_out, scores
    if agreement is not None and held is not None:
        present = torch.tensor(taken.present)
        unseen = held.both(present)
        both = torch.stack([scores.samples, agreement.samples])
        likelihood, together = (both - unseen.mean(0)) / unseen.std(0)
        shown = agreement if together > likelihood else scores
    view = shown.images.nan_to_num(-torch.inf).argmax().item()
    x, y = _place(shown.maps[view].numpy(), taken, view)
    judged = "alarm" if alarm else "sound"
    return {
        "score": scores.samples.item(),
        "agreement": None if agreement is None else agreement.samples.item(),
        "p_value": p_value.item(),
        "verdict": "scored" if held is None else judged,
        "because": "likelihood" if shown is scores else "agreement",
        "camera": scorer.description.cameras[view].name,
        "x": x,
        "y": y,
    }


def _place(values: np.ndarray, taken: Pictures, view: int) -> tuple[int, int]:
    """The middle of the highest position of a map, in px of the picture as it was taken."""
    rows, columns = values.shape
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    height, width = taken.views[view].shape[:2]
    if taken.flips[view]:
        column = columns - 1 - column
    return int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)


def _draw(
    scorer: PictureScorer,
    part: Part,
    taken: Pictures,
    verdict: Verdicts,
    row: dict,
    folder: Path,
    number: int,
) -> None:
    """The picture of one part."""
    cameras = scorer.description.cameras
    joined = "" if row["agreement"] is None else f", agreement {row['agreement']:.3f}"
    figure = plot.part_sheet(
        [taken.image(view, plot.THUMBNAIL) for view in range(len(cameras))],
        verdict.scores.maps,
        verdict.scores.images,
        [camera.name for camera in cameras],
        scorer.description.scale,
        f"{part.name[-100:]}: {row['verdict']}, p = {row['p_value']:.4f}, score {row['score']:.3f}"
        f"{joined} (most by {row['because']}, in {row['camera']})",
    )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", part.name)[-80:]
    plot.save(figure, folder / f"{number:04d}_{name}.png", dpi=80)
