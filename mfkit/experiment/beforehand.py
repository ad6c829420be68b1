"""What can be found out before the work starts: can its end be reached?"""

from tqdm.auto import tqdm

from mfkit import escape
from mfkit.data import MASK_SIZE, Category, doubts
from mfkit.errors import InputError, few

__all__ = ["check_splits"]


def check_splits(category: Category) -> None:
    """Compare the splits of a category with what training and metrics need; warn of the rest.

    Raises:
        InputError: a camera without training images, a test split of one kind, or no mask that
            marks anything.
    """
    for view, camera in enumerate(category.cameras):
        if not any(sample.present[view] for sample in category.train):
            raise InputError(
                f"{category.name}: camera {camera} has no image in the training split, so nothing "
                "can be learned about it; add some, or take its rows out of the JSON file"
            )
    labels = {sample.label for sample in category.test}
    if labels != {False, True}:
        lacking = "defective" if labels == {False} else "sound"
        raise InputError(
            f"{category.name}: the test split holds no {lacking} sample, so no AUROC can be "
            "computed; add some to the JSON file"
        )
    marking, doubtful = doubts(tqdm(category.test, desc="masks"))
    if not marking:
        raise InputError(
            f"{category.name}: no mask of the test split marks a defect on the {MASK_SIZE} x "
            f"{MASK_SIZE} px that are compared"
            + (f", {doubtful[0]}; defects should be white (255) on black" if doubtful else "")
        )
    twice = {sample.name for sample in category.train} & {sample.name for sample in category.test}
    doubtful += [f"{name} is in train and in test; take it out of one" for name in sorted(twice)]
    for line in few(doubtful):
        tqdm.write(escape.terminal(f"warning: {category.name}: {line}"))
