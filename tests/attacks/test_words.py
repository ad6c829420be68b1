"""Words from data that would act: in a terminal, a page, a table, a figure."""

import pickle
import traceback
from dataclasses import replace

import pandas as pd
import torch
from sets import features, small_flow, small_set

from mfkit import escape, plot
from mfkit.errors import Fault, InputError
from mfkit.experiment import render
from mfkit.explore import LatentExplorer, Latents
from mfkit.features import Split
from mfkit.flow import ViewGraph

ORDERS = "\x1b]0;owned\x07\x1b[2J"  # a terminal would change its title and clear its screen
SCRIPT = "<img src=x onerror=alert(1)>"
BROKEN = "$\\frac{1$ \ud800"  # no formula, and no letter: a name of a file that is no UTF-8


def test_what_data_say_is_shown_as_it_is():
    said = f"a|b\\ $x$ & _ {SCRIPT} {ORDERS}"
    frame = pd.DataFrame({"name": [said], "S-AUROC": [95.0]}).set_index("name")
    shown = {form: render(frame, form) for form in ("text", "markdown", "latex")}
    assert all("\x1b" not in text and "\x07" not in text for text in shown.values())
    assert r"a\|b\\ \$x\$ \& _ \<img" in shown["markdown"]
    assert r"a\textbar{}b\textbackslash{} \$x\$ \& \_ \textless{}img" in shown["latex"]
    assert "<" not in escape.html(said)
    assert [escape.cell(f"{sign}1") for sign in "=+-@"] == ["'=1", "'+1", "'-1", "'@1"]


def test_a_message_shows_its_names_wherever_it_is_shown():
    error = pickle.loads(pickle.dumps(Fault(f"{ORDERS}: cannot be read", "unreadable file")))
    assert "\x1b" not in "".join(traceback.format_exception(error))
    assert str(error) == str(InputError(str(error)))


def test_a_figure_shows_signs_of_money(tmp_path):
    samples = small_set(tmp_path, views=2).test
    said = [replace(sample, code=BROKEN) for sample in samples]
    plot.save(plot.contact_sheet(said, title="$\\nothing$"), tmp_path / "sheet.png", dpi=20)
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_the_picture_of_a_part_shows_its_name_and_those_of_its_cameras(tmp_path):
    maps = torch.zeros(2, 4, 4)
    part = plot.part_sheet([None] * 2, maps, maps[:, 0, 0], [BROKEN] * 2, (0.0, 1.0), title=BROKEN)
    plot.save(part, tmp_path / "part.png", dpi=20)
    assert (tmp_path / "part.png").stat().st_size > 1000


def test_no_word_of_the_data_becomes_part_of_a_page(tmp_path):
    test = small_set(tmp_path, views=2).test
    said = [replace(s, codes=(SCRIPT,) * 2, code=SCRIPT, name=SCRIPT, number=SCRIPT) for s in test]
    flows = {SCRIPT: small_flow(ViewGraph.empty(2))}
    explorer = LatentExplorer(Latents(flows, Split(said, features(len(said), 2))))
    words = [part.value for part in parts(explorer) if type(part).__name__ == "HTML"]
    for index in range(len(said)):
        explorer.restore({"sample": index})
        words += [part.value for part in parts(explorer) if type(part).__name__ == "HTML"]
    assert any("img src" in text for text in words)
    assert not any("<img" in text for text in words)


def parts(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)
