"""Tables that benchmarks write into pages, between two marks each."""

import re
from collections.abc import Sequence
from pathlib import Path

from mfkit.files import whole_file


def fill(page: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- NAME: begin ... -->` and `<!-- NAME: end -->`."""
    marks = rf"(<!-- {name}: begin.*?-->\n).*?(<!-- {name}: end -->)"
    new, times = re.subn(marks, lambda m: f"{m[1]}{text}\n{m[2]}", page.read_text(), flags=re.S)
    if times != 1:
        raise SystemExit(f"{page}: {times} places marked {name!r}, one is needed")
    with whole_file(page) as draft:
        draft.write_text(new)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def spread(values, digits: int = 1) -> str:
    """Mean and standard deviation over seeds; the mean alone for a single one."""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {values.std():.{digits}f}"
