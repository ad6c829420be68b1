"""What TEACHING.md says is true: sections, minutes, files, commands; the workflows are in order."""

import re
import subprocess
import sys
from pathlib import Path

import lessons
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEACHING = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXTRA = ("What we have built", "Exercises", "Further reading", "Appendix")  # take no minutes
each = pytest.mark.parametrize("name", lessons.names())


def part(title):
    """The text below a heading, up to the next one of its level."""
    level = re.search(rf"(?m)^(#+) {re.escape(title)}$", TEACHING)[1]
    return re.split(rf"(?m)^{level} {re.escape(title)}$", TEACHING)[1].split(f"\n{level} ")[0]


def minutes(table):
    """{what: minutes} of a table "| what | minutes |"."""
    return {what: int(number) for what, number in re.findall(r"(?m)^\| (.+) \| (\d+) \|$", table)}


@each
def test_minutes_are_given_for_every_section_and_add_up(name):
    title, _, card = lessons.card(name)
    text = "\n".join(c.source for c in lessons.read_source(name) if c.cell_type == "markdown")
    sections = [s for s in re.findall(r"(?m)^## (.+)$", text) if not s.startswith(EXTRA)]
    planned = minutes(part(title))
    assert list(planned) == sections
    alone, with_exercises = card.split(" / ")
    assert sum(planned.values()) == int(alone) < int(with_exercises)
    assert f"With all exercises: {with_exercises} minutes." in part(title)


@each
def test_every_lesson_has_questions_and_a_quiz_with_answers(name):
    text = part(lessons.card(name)[0])
    for heading in ("**Say.**", "**What goes wrong.**", "**Questions.**", "**Quiz.**"):
        assert heading in text
    quiz = text.split("**Quiz.**")[1]
    assert len(re.findall(r"(?m)^\d\. .+\*.+\*$", quiz)) == 5


def test_the_day_has_no_gap():
    """Each row of the day's table begins where the one before has ended."""
    rows = re.findall(r"(?m)^\| (\d+):(\d\d) \| (\d+) \|", part("One day"))
    times = [(60 * int(hour) + int(minute), int(long)) for hour, minute, long in rows]
    assert [start + long for start, long in times[:-1]] == [start for start, _ in times[1:]]
    assert times[0][0] == 9 * 60 and sum(times[-1]) == 17 * 60


def test_half_a_day_names_only_sections_that_exist():
    text = "\n".join(c.source for name in lessons.names() for c in lessons.read_source(name))
    table = re.sub(r"\*\*.+?\*\*", "", part("Half a day"))
    for section in re.findall(r"(?<=[ |])\*([A-Z][^*]+)\*", table.split("|---|---|")[1]):
        assert f"# {section}" in text, section
    rows = re.findall(r"(?m)^\| (\d+) \|", table)
    assert sum(map(int, rows)) == 210


def test_links_and_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)`", TEACHING) + re.findall(
        r"(?m)^make ([a-z-]+)$", TEACHING
    ):
        assert re.search(rf"(?m)^{target}:", makefile), target
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"(?m)^#+ (.+)$", TEACHING)
    }
    for link in re.findall(r"\]\(([^)]+)\)", TEACHING):
        assert link[1:] in headings if link.startswith("#") else (ROOT / link).exists(), link


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "notebooks" / "source").glob("*.py")) + sorted((ROOT / "mfkit").rglob("*.py")),
    ids=lambda path: path.stem,
)
def test_no_message_knows_make_lab_alone(path):
    """Windows has no make: whoever is told a target is told a plain command, too."""
    text = path.read_text(encoding="utf-8")
    if re.search(r"type '?make (lab|workshop)", text):
        assert "pip install" in text or "python -m mfkit workshop" in text


# Workflows and Binder


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_in_order(path, tmp_path):
    actionlint = Path(sys.executable).parent / "actionlint"
    done = subprocess.run([actionlint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(path.read_text().replace("runs-on", "run-on", 1))
    assert subprocess.run([actionlint, broken], capture_output=True, check=False).returncode == 1


def test_windows_and_macos_run_readmes_plain_commands():
    plain = re.search(r"Without `make`.*?```\n(.+?)```", README, re.DOTALL)[1].splitlines()
    conda, commands = plain[:2], plain[2:]
    assert conda[0] == "conda env create -f environment.yml"
    job = yaml.safe_load((WORKFLOWS[0].parent / "plain-commands.yml").read_text())["jobs"]["readme"]
    assert {"windows-latest", "macos-latest"} == set(job["strategy"]["matrix"]["os"])
    run = [step["run"] for step in job["steps"] if "run" in step]
    assert run[-len(commands) :] == commands
    setup = next(step["with"] for step in job["steps"] if "miniconda" in step.get("uses", ""))
    assert setup["environment-file"] == "environment.yml"
    assert setup["activate-environment"] == conda[1].split()[-1]


def test_linux_runs_ci_and_the_site_is_built():
    steps = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]["linux"]
    assert "bash .ci/run" in steps["steps"][-1]["run"]
    site = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text())["jobs"]["book"]
    assert "make site" in [step.get("run") for step in site["steps"]]


def test_binder_installs_the_course_in_the_fast_setting(tmp_path):
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    ours = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == ours["name"]
    assert set(ours["dependencies"][:2]) < set(environment["dependencies"])
    post_build = (ROOT / "binder" / "postBuild").read_text()
    assert "pip install --no-cache-dir -e '.[course]'" in post_build
    start = ROOT / "binder" / "start"
    for script in (start, ROOT / "binder" / "postBuild"):
        assert script.stat().st_mode & 0o111, f"{script} should be executable"
    done = subprocess.run(
        [start, "sh", "-c", "echo $MFKIT_FAST"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
