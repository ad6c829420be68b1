"""Pictures on disk -> samples: one object, seen by V cameras.

Read in this order: `layout` (where things lie), `index` (the rows of a JSON file) with `names`
(what may be one) and `listing` (which files are there), `images`, `codes` (what defects are
called), `sample`, `category` (rows -> samples); then `truth` (what masks say), `real_iad` (what is
known about Real-IAD), `check` (everything that is wrong with a data set), `own_cameras` (a folder
tree -> a JSON file), the same for the sets of others (`other_sets`, `strips`, `turntable`) and
`fingerprint` (is it still the same data?). Nothing here needs PyTorch.
"""

from mfkit.data.category import categories, read_category
from mfkit.data.codes import CODES, MISFITS
from mfkit.data.fingerprint import (
    Digests,
    data_fingerprint,
    digest_lines,
    former_data_fingerprints,
    former_images_fingerprint,
    images_fingerprint,
)
from mfkit.data.images import read_image, read_mask
from mfkit.data.index import Row, read_rows
from mfkit.data.layout import DataSet
from mfkit.data.other_sets import write_m2ad_index, write_variety_index
from mfkit.data.own_cameras import write_index
from mfkit.data.real_iad import FLIPS, TOTALS
from mfkit.data.sample import Category, Sample
from mfkit.data.strips import write_manta_index
from mfkit.data.truth import MASK_SIZE, doubts
from mfkit.data.turntable import write_turntable_index

__all__ = [
    "CODES",
    "FLIPS",
    "MASK_SIZE",
    "MISFITS",
    "TOTALS",
    "Category",
    "DataSet",
    "Digests",
    "Row",
    "Sample",
    "categories",
    "data_fingerprint",
    "digest_lines",
    "doubts",
    "former_data_fingerprints",
    "former_images_fingerprint",
    "images_fingerprint",
    "read_category",
    "read_image",
    "read_mask",
    "read_rows",
    "write_index",
    "write_m2ad_index",
    "write_manta_index",
    "write_turntable_index",
    "write_variety_index",
]
