"""Count what Mini-IAD holds, and put the tables into the data sheet.

python data/render/datasheet.py            writes between the marks in data/README.md
"""

from collections import Counter
from pathlib import Path

from layout import read_table

DATA = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- counts: begin -->", "<!-- counts: end -->"
STEPS = 5  # columns of the severity table


def table(head, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def counts(rows):
    """The tables of the data sheet as Markdown, from the rows of ``samples.csv``."""
    names = sorted({row["category"] for row in rows})
    bad = [row for row in rows if row["code"] != "OK"]
    codes = sorted({row["code"] for row in bad})

    def number(name, **wanted):
        return sum(
            row["category"] == name and all(row[k] == v for k, v in wanted.items()) for row in rows
        )

    samples = [
        [n, number(n, split="train"), number(n, split="test", code="OK")]
        + [number(n, code=code) or "-" for code in codes]
        + [sum(row["category"] == n for row in bad)]
        for n in names
    ]
    views, several, steps = [], [], []
    for name in names:
        mine = [row for row in bad if row["category"] == name]
        camera = Counter(c for row in mine for c in row["cameras"])
        seen = Counter(len(row["cameras"]) for row in mine)
        views.append([name, *(camera[str(c)] for c in range(1, 6)), camera.total()])
        several.append([name, *(seen[k] for k in range(1, 6))])
        graded = [float(row["severity"]) for row in mine if row["severity"]]
        step = Counter(min(int(severity * STEPS), STEPS - 1) for severity in graded)
        steps.append([name, *("#" * step[k] + f" {step[k]}" for k in range(STEPS))])
    edges = [f"{k / STEPS:.1f} to {(k + 1) / STEPS:.1f}" for k in range(STEPS)]
    return "\n\n".join(
        [
            "Samples (five images each):",
            table(["category", "train", "test, sound", *codes, "test, defective"], samples),
            "Images that show a defect, by camera:",
            table(["category", "C1", "C2", "C3", "C4", "C5", "all"], views),
            "Defective samples by the number of cameras that see the defect:",
            table(["category", "1", "2", "3", "4", "5"], several),
            "Defective samples by severity (a misfit has none):",
            table(["category", *edges], steps),
        ]
    )


def fill(text, content):
    """The text with what stands between the marks replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{content}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    page = DATA / "README.md"
    page.write_text(fill(page.read_text(), counts(list(read_table(DATA / "mini-iad").values()))))
