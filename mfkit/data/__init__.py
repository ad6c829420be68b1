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
from mfkit.data.images import SUFFIXES, fit_image, is_grey, read_image, read_mask
from mfkit.data.index import FILE_NAME, Row, camera_names, read_rows
from mfkit.data.layout import DataSet, image_folder
from mfkit.data.other_sets import write_m2ad_index, write_variety_index
from mfkit.data.own_cameras import natural, write_index
from mfkit.data.real_iad import FLIPS, TOTALS
from mfkit.data.sample import Category, Sample
from mfkit.data.strips import write_manta_index
from mfkit.data.truth import MASK_SIZE, doubts
from mfkit.data.turntable import write_turntable_index

__all__ = [
    "CODES",
    "FILE_NAME",
    "FLIPS",
    "MASK_SIZE",
    "MISFITS",
    "SUFFIXES",
    "TOTALS",
    "Category",
    "DataSet",
    "Digests",
    "Row",
    "Sample",
    "camera_names",
    "categories",
    "data_fingerprint",
    "digest_lines",
    "doubts",
    "fit_image",
    "former_data_fingerprints",
    "former_images_fingerprint",
    "image_folder",
    "images_fingerprint",
    "is_grey",
    "natural",
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
