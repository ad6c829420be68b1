"""The notebooks of the course: generated, clean, true to the library, and really tested by nbval.

That their outputs are still right is tested by nbval itself, which `make test` runs on them.
"""

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import build
import lessons
import nbformat
import pytest
from matplotlib.colors import to_rgba

from mfkit import PALETTE, ViewGraph, course
from mfkit.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))
ALL = [NOTEBOOKS / "index.ipynb", *LESSONS, *SOLUTIONS]


def name(path):
    return str(path.relative_to(NOTEBOOKS).with_suffix(""))


each = pytest.mark.parametrize("path", ALL, ids=name)
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=name)


def read(path):
    return nbformat.read(path, 4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def texts(path):
    return [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]


def printed(cell):
    """Everything that nbval compares as text."""
    outputs = cell.get("outputs", [])
    return [o.get("text", o.get("data", {}).get("text/plain", "")) for o in outputs]


# What is generated


def test_generating_again_changes_nothing():
    assert build.check([]) == []


def test_every_lesson_has_its_notebooks():
    assert [path.stem for path in LESSONS] == [path.stem for path in SOLUTIONS] == lessons.names()


def test_readme_has_the_generated_table():
    table = lessons.TABLE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert table and table[0] == lessons.course_table("notebooks/")


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course of one lesson, to be broken."""
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "01_small.py"
    source.write_text(
        '# %% [markdown] tags=["card"]\n# # 1 Try\n#\n# **You build** a\n# thing.\n#\n'
        '# **Time and memory** 5 minutes.\n\n# %% tags=["setup"]\nx = 1\n\n# %%\nprint(x)\n\n'
        '# %% [markdown] tags=["exercise"]\n# Add.\n\n# %% tags=["exercise"]\ny = 2\n'
        "# --- solution ---\nprint(x + y)\n# --- check ---\nassert y == 2\n"
    )
    monkeypatch.setattr(lessons, "HERE", tmp_path)
    return source


def test_lesson_hides_the_solution_and_solutions_keep_it(small_course):
    assert lessons.card("01_small") == ("1 Try", "a thing", "5")
    lesson = [cell.source for cell in lessons.lesson("01_small").cells if cell.cell_type == "code"]
    check = "with course.check():\n    assert y == 2"
    assert lesson == ["x = 1", "print(x)", f"y = 2\n\n# your code here\n\n{check}"]
    solved = [
        cell.source for cell in lessons.solutions("01_small").cells if cell.cell_type == "code"
    ]
    assert solved == ["x = 1", f"y = 2\n# --- solution ---\nprint(x + y)\n\n{check}"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"setup"', '"setpu"', "unknown tags"),
        ("# --- solution ---", "# solution", "no line"),
        ("**You build**", "**Build**", "card"),
    ],
)
def test_a_wrong_source_is_refused(small_course, old, new, complaint):
    small_course.write_text(small_course.read_text().replace(old, new))
    with pytest.raises(SystemExit, match=complaint):
        lessons.solutions("01_small")


# Hygiene: what nbval does not look at


@each
def test_every_cell_was_run_once_and_in_order(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each
def test_format_kernel_and_cell_ids(path):
    book = read(path)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    assert set(book.metadata) == {"kernelspec", "language_info"}  # no widget state, nothing local
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)


@each
def test_only_known_tags_and_few_ignored_cells(path):
    cells = read(path).cells
    tags = [tag for cell in cells for tag in cell.metadata.get("tags", [])]
    assert set(tags) <= lessons.TAGS
    assert all(set(cell.metadata) <= {"tags", "alt"} for cell in cells)
    assert tags.count("nbval-ignore-output") <= 0.1 * len(code_cells(path))


@each
def test_outputs_can_be_compared_and_shown_everywhere(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type in ("stream", "execute_result", "display_data"), cell.id
            assert output.get("name") != "stderr", f"{cell.id}: {output.text}"
            shown = set(output.get("data", {}))
            assert shown <= {"text/plain", "text/html", "image/png"}, f"{cell.id}: {shown}"
        assert "Figure size" not in "".join(printed(cell)) or any(
            "image/png" in output.get("data", {}) for output in cell.outputs
        ), f"{cell.id}: a figure without its picture"
        assert str(ROOT) not in "".join(printed(cell)), f"{cell.id}: a path of this machine"


@each_lesson
def test_every_figure_says_what_it_shows(path):
    """For readers who do not see it; each in words of its own."""
    drawn = [
        c for c in code_cells(path) if any("image/png" in o.get("data", {}) for o in c.outputs)
    ]
    said = [cell.metadata.get("alt", "") for cell in drawn]
    assert len(said) > 2 and len(set(said)) == len(said)
    for text, cell in zip(said, drawn, strict=True):
        assert len(text) > 30, f"{cell.id} has a figure and no alt"


@each_lesson
def test_exercises_say_when_they_are_right_and_open_a_hint(path):
    """Unsolved, each check says "Not yet" and nothing stops; solved, each says "Right."."""
    for folder, words in (("", "Not yet"), ("solutions", "Right.")):
        cells = read(path.parent / folder / path.name).cells
        asked = [c for c in cells if "exercise" in lessons.tags(c) and c.cell_type == "code"]
        for cell in asked:
            assert "with course.check():" in cell.source
            last = "".join(printed(cell)).strip().split("\n")[-1]
            assert last.startswith(words), f"{cell.id}: {last}"
    questions = [c for c in cells if "exercise" in lessons.tags(c) and c.cell_type == "markdown"]
    assert all("<details><summary>Hint</summary>" in c.source for c in questions)
    unsolved = [c.source for c in read(path).cells if "exercise" in lessons.tags(c)]
    assert not re.search(r"(?m)^(guess|prediction|predicted|better) = [\d\"]", "\n".join(unsolved))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("assert 1 + 1 == 2", "Right."),
        ("assert False, 'add again'", "Not yet: add again"),
        ("assert False", "Not yet."),
        ("undefined", "Not yet: NameError: name 'undefined' is not defined"),
        ("... < 3", "Not yet: TypeError"),
    ],
)
def test_a_check_says_it_and_goes_on(line, said, capsys):
    with course.check():
        exec(line)
    assert capsys.readouterr().out.startswith(said)


@each
def test_size(path):
    assert path.stat().st_size < 2_500_000


@each_lesson
def test_three_to_five_exercises(path):
    statements = [cell for cell in read(path).cells if "exercise" in lessons.tags(cell)]
    assert 3 <= sum(cell.cell_type == "markdown" for cell in statements) <= 5
    assert "card" in lessons.tags(read(path).cells[1])


@pytest.mark.parametrize("path", SOLUTIONS, ids=name)
def test_solutions_print_what_nbval_compares(path):
    questions = "".join("M" if c.cell_type == "markdown" else "c" if "".join(printed(c)) else "-"
                        for c in read(path).cells if "exercise" in lessons.tags(c))  # fmt: skip
    assert re.fullmatch(r"(M-*c[c-]*)+", questions), questions


# Truth: names, links


def definitions(source):
    """Functions and classes at the top level, without docstrings: {name: text}."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
                    inner.body = inner.body[1:] or [ast.Pass()]
            found[node.name] = ast.unparse(node)
    return found


LIBRARY = {}  # public names only
for module in sorted((ROOT / "mfkit").rglob("*.py")):
    for defined, text in definitions(module.read_text(encoding="utf-8")).items():
        if not defined.startswith("_"):
            LIBRARY.setdefault(defined, set()).add(text)


@each
def test_what_bears_a_name_of_mfkit_is_identical_to_it(path):
    for cell in code_cells(path):
        for defined, text in definitions(cell.source).items():
            if defined in LIBRARY:
                assert text in LIBRARY[defined], f"{cell.id}: {defined} is not mfkit's"


def test_many_definitions_stand_in_a_lesson_and_in_the_library():
    shared = {
        defined
        for path in LESSONS
        for cell in code_cells(path)
        for defined in definitions(cell.source)
        if defined in LIBRARY
    }
    assert len(shared) >= 8, shared


def test_a_drifted_definition_is_noticed():
    source = (ROOT / "mfkit" / "score" / "scores.py").read_text(encoding="utf-8")
    assert definitions(source)["nll_map"] in LIBRARY["nll_map"]
    assert definitions(source.replace("0.5 *", "0.4 *"))["nll_map"] not in LIBRARY["nll_map"]


@each
def test_links_lead_somewhere(path):
    for text in texts(path):
        for label, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", text):
            if target.startswith("https://arxiv.org/abs/"):
                assert label == f"arXiv {target.rsplit('/', 1)[1]}"
            elif not target.startswith("https://"):
                assert (path.parent / target.split("#")[0]).exists(), target


# How it reads


def words(text):
    """Words of prose: no formulas, addresses or tables' rules."""
    prose = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", " ", text, flags=re.DOTALL)
    return len(re.findall(r"[A-Za-z][A-Za-z0-9'_-]*", prose))


@each_lesson
def test_prose_and_cells_have_a_readable_size(path):
    prose = sum(words(text) for text in texts(path)[1:-1])
    lines = sorted(len(re.findall(r"(?m)^.*\S", cell.source)) for cell in code_cells(path))
    assert 2000 <= prose <= 5500
    assert 6 <= prose / sum(lines) <= 16
    assert statistics.median(lines) <= 8
    assert sum(count <= 20 for count in lines) >= 0.9 * len(lines)
    assert lines[-1] <= 50


# nbval bites


def names_in(source):
    """Names that a cell makes, and names that it uses."""
    made, used = set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return made, used


def excerpt(path, copy, wanted):
    """Copy the first cell that prints what is wanted, and what it needs; its number in the copy."""
    book = read(path)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    place = next(
        number
        for number, cell in enumerate(cells)
        if any(re.search(wanted, output.get("text", "")) for output in cell.outputs)
    )
    book.cells, (_, needed) = [cells[place]], names_in(cells[place].source)
    for cell in reversed(cells[:place]):
        made, used = names_in(cell.source)
        if made & needed:
            book.cells.insert(0, cell)
            needed |= used
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, copy)
    return len(book.cells) - 1


def failures(folder, library=ROOT):
    """Run nbval on the notebooks in a folder; (file, number of the cell) of what fails."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "--tb=no"]
    command += ["-p", "kernels", "-p", "no:cacheprovider", "--nbval-cell-timeout=300", "-rf"]
    command += [f"--nbval-sanitize-with={ROOT / 'tests' / 'sanitize.cfg'}", "notebooks"]
    found = os.pathsep.join([str(library), str(ROOT / "tests" / "support")])
    environment = {**os.environ, "MFKIT_FAST": "1", "PYTHONPATH": found}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "passed" in done.stdout, done.stdout  # some cells stand before the changed one
    found = re.findall(r"^FAILED (\S+)::Cell (\d+)", done.stdout, re.MULTILINE)
    return {(file, int(number)) for file, number in found}


@pytest.fixture
def workshop(tmp_path):
    """An empty folder from which the notebooks find their data."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("path", [LESSONS[3], SOLUTIONS[1]], ids=name)
def test_nbval_notices_one_changed_number(path, workshop):
    file = Path("notebooks") / path.relative_to(NOTEBOOKS)
    number = excerpt(path, workshop / file, r"\d")
    book = read(workshop / file)
    output = next(output for output in book.cells[-1].outputs if "text" in output)
    output.text = re.sub(r"\d", lambda digit: str(9 - int(digit[0])), output.text, count=1)
    nbformat.write(book, workshop / file)
    assert failures(workshop) == {(str(file), number)}


@pytest.mark.slow
def test_nbval_notices_one_changed_line_of_mfkit(workshop):
    shutil.copytree(ROOT / "mfkit", workshop / "mfkit")
    module = workshop / "mfkit" / "data" / "sample.py"
    file = "notebooks/01_look.ipynb"
    number = excerpt(NOTEBOOKS / "01_look.ipynb", workshop / file, r"label +True")
    source = module.read_text(encoding="utf-8")
    assert source.count("return any(self.labels)") == 1
    module.write_text(source.replace("return any(self.labels)", "return all(self.labels)"))
    assert failures(workshop, library=workshop) == {(file, number)}


def test_kernels_that_start_at_once_share_no_port():
    """Two workers did, and 45 cells failed; sockets in the file system have names of their own."""
    code = (
        "import kernels, nbval.kernel as n; "
        "print(*((m.transport, m.ip) for m in (n.KernelManager(), n.KernelManager())))"
    )
    places = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT / "tests" / "support",
            capture_output=True,
            text=True,
        )
        found = re.findall(r"\('ipc', '(.*?)'\)", done.stdout)
        assert len(found) == 2, done.stderr
        places |= set(found)
    assert len(places) == 4
    assert "NBVAL = -p tests.support.kernels " in (ROOT / "Makefile").read_text()


# What the notebooks share


@pytest.mark.parametrize("graph", [ViewGraph.wheel(), ViewGraph.chain(3), ViewGraph.empty(2)])
def test_half_step_draws_each_message_once_and_none_from_a_half_that_moves(graph):
    """Four arrows for every view by itself; messages begin at second halves, below their view."""
    arrows = [
        text for text in course.half_step(graph).axes[0].texts if getattr(text, "arrow_patch", None)
    ]
    messages = [a for a in arrows if a.arrow_patch.get_edgecolor() == to_rgba(PALETTE["moved"])]
    assert len(messages) == len(graph.edges)
    assert len(arrows) == len(messages) + 4 * graph.views
    assert all(message.xyann[1] % 1.5 > 0.75 for message in messages)


@pytest.mark.parametrize("part", course.PARTS)
def test_picture_of_the_method_marks_todays_part(part):
    bold = [text.get_text() for text in course.method(part).axes[0].texts
            if text.get_weight() == "bold"]  # fmt: skip
    assert bold == [course.PARTS[part]]


def test_unknown_part_and_missing_data_are_explained(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'part' should be one of look"):
        course.method("explorer")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="git clone"):
        course.find_data()
