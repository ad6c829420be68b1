"""The page of a study: it grows while categories are finished."""

import base64
import io
from collections.abc import Sequence
from string import Template

import pandas as pd
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.data import Category
from mfkit.files import whole_file
from mfkit.study import figures
from mfkit.study.findings import defects, finished_rows, lost_views, scored
from mfkit.study.study_folder import StudyFolder, Trial
from mfkit.study.tables import all_tables
from mfkit.study.variants import OURS, VARIANTS
from mfkit.study.worst import draw_worst, worst

__all__ = ["Page"]

PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
$refresh<title>Multi-Flow and its controls</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap }
th:first-child, td:first-child, td.text { text-align: left }
tr.mean { font-weight: 600 }
td.chance { color: #999 }
img { max-width: 100% }
figure { margin: 1rem 0 }
figcaption, .note { color: #555; font-size: 13px }
</style>
<h1>Multi-Flow and its controls</h1>
$body
</html>
""")


class Page:
    """`results.html` of a study.

    Arguments:
        folder: of the study.
        read: its categories.
        planned: all of its trials.
    """

    def __init__(self, folder: StudyFolder, read: Sequence[Category], planned: Sequence[Trial]):
        self.folder, self.planned = folder, planned
        self.categories = {category.name: category for category in read}

    def write(self, progress: str | None = None) -> pd.DataFrame:
        """Write what is known by now.

        Arguments:
            progress: how far the work has come; None: it has ended.

        Returns:
            a row for each finished trial: category, variant, seed and metrics in percent.
        """
        rows = finished_rows(self.folder, self.planned)
        parts = [f"<p>{self._state(rows, progress)}</p>"]
        if len(rows):
            samples = self._samples(rows)
            parts += [*all_tables(rows, samples), *self._figures(rows, samples)]
            parts += self._pictures(rows, samples)
        refresh = '<meta http-equiv="refresh" content="60">\n' if progress else ""
        with whole_file(self.folder.page) as draft:
            page = PAGE.substitute(refresh=refresh, body="\n".join(parts))
            draft.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")
        return rows.drop(columns=["data", "mark"])

    def _state(self, rows: pd.DataFrame, progress: str | None) -> str:
        if progress:
            return f"Still at work: {progress}. This page renews itself."
        if lacking := len(self.planned) - len(rows):
            return f"{lacking} trials are missing: they failed."
        return f"Categories: {len(self.categories)}, trials: {len(rows)}."

    def _samples(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Of `scored`, with code, shows and size of each sample."""
        data = rows.drop_duplicates("category").set_index("category")["data"]
        known = [
            defects(self.folder, self.categories[name], fingerprint).assign(category=name)
            for name, fingerprint in data.items()
        ]
        return scored(self.folder, rows).merge(pd.concat(known), on=["category", "sample"])

    def _figures(self, rows: pd.DataFrame, samples: pd.DataFrame) -> list[str]:
        lost = lost_views(self.folder, rows)
        drawn = [
            _figure(
                figures.per_category(rows),
                "S-AUROC of each category by the maximum rule; bars are standard deviations over "
                "seeds.",
            ),
            _figure(
                figures.per_group(samples[samples["label"]]),
                "S-AUROC of defects by their code, by size (the largest of a sample's masks) and "
                "by the number of views that show them, each against the sound samples of its "
                "category; above, how many samples there are.",
            ),
        ]
        if len(lost):
            drawn.append(
                _figure(
                    figures.without_views(lost),
                    "S-AUROC if so many views of every test sample are missing, mean over "
                    "categories, one seed.",
                )
            )
        return ["<h2>In pictures</h2>", *drawn]

    def _pictures(self, rows: pd.DataFrame, samples: pd.DataFrame) -> list[str]:
        """The worst misses and false alarms of ours, or of what there is."""
        variant = OURS if OURS in set(samples["variant"]) else samples["variant"].iloc[0]
        parts, used = [], set()
        for title, chosen in worst(samples, variant).items():
            parts.append(f"<h2>The worst {title} of {escape.html(VARIANTS[variant])}</h2>")
            if not len(chosen):
                parts.append(
                    "<p>None: every defective sample scores higher than every sound one.</p>"
                )
            names = draw_worst(self.folder, rows, chosen, self.categories)
            used |= set(names)
            for name, row in zip(names, chosen.itertuples(), strict=True):
                words = f"{row.category}, {row.sample}: {row.unusual:.1f} standard deviations "
                words += "from the mean of the sound samples"
                if row.label:
                    words += f"; {100 * row.found:.0f} % of the sound samples score lower"
                text = escape.html(words)
                source = f"{self.folder.pictures.name}/{name}"
                parts.append(
                    f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption>'
                    "</figure>"
                )
        for path in self.folder.pictures.glob("*.png"):
            if path.name not in used:
                path.unlink()
        return parts


def _figure(figure: Figure, words: str) -> str:
    """A figure in the page itself, with its caption."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130)
    source = base64.b64encode(file.getvalue()).decode()
    picture = f'<img src="data:image/png;base64,{source}" alt="{words}">'
    return f"<figure>{picture}<figcaption>{words}</figcaption></figure>"
