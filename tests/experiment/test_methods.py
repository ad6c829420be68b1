"""What a flow has to be better than is run, scored and kept like a flow."""

import json

import numpy as np
import pandas as pd
import pytest
from trees import edit, rows_of, tree

from mfkit.__main__ import main
from mfkit.data import read_category
from mfkit.errors import InputError
from mfkit.experiment import METRICS, choose_preset, evaluate
from mfkit.experiment.run import run
from mfkit.features import FeatureStore, Split
from mfkit.flow import MultiFlow, Neighbours, load_flow

pytestmark = pytest.mark.usefixtures("tiny_preset")
KINDS = {"gaussian": MultiFlow, "neighbours": Neighbours}


@pytest.mark.parametrize("method", KINDS)
def test_a_fitted_method_leaves_what_a_flow_leaves(tmp_path, method, capsys):
    tree(tmp_path / "data", train=8)
    out = tmp_path / "out"
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(out), "--method", method]
    command += ["--folds", "4"]
    assert main(command) == 0
    results = json.loads((out / "results.json").read_text())
    row = results["categories"]["audiojack"]
    assert set(METRICS) <= set(row) and row["seconds"]["training"] >= 0
    assert ("nll" in row) == (method == "gaussian")  # distances are no likelihood
    assert results["config"]["method"] == method
    folder = out / "audiojack"
    for name in ("model.pt", "scores.csv", "overview.png", "maps.npy"):
        assert (folder / name).stat().st_size > 0
    assert not (folder / "history.csv").exists() and not (folder / "checkpoint.pt").exists()
    assert "S-AUROC" in capsys.readouterr().out
    assert main(command) == 0 and "done before" in capsys.readouterr().out

    model = load_flow(folder / "model.pt")
    assert isinstance(model, KINDS[method])
    store = FeatureStore(out / "features" / "tiny" / "audiojack" / "test.f16")
    samples = read_category(tmp_path / "data", "audiojack").test
    metrics, scores = evaluate(model, Split(samples, store), batch=3)
    assert metrics["p_aupro"] == pytest.approx(row["p_aupro"], abs=1e-5)
    np.testing.assert_allclose(scores.maps, np.load(folder / "maps.npy"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", KINDS)
def test_missing_views_and_foreground_are_treated_as_by_a_flow(tmp_path, method):
    file = tree(tmp_path / "data", train=8, sound=1, codes={"BX": 1})
    spots = [rows_of(file, 2, "S0001/")[0], rows_of(file, 3, "NG/BX/S0001")[0]]
    edit(file, lambda table: [table[split].pop(index) for split, index in spots])
    out = tmp_path / "out"
    options = {"method": method, "missing_views": "allow", "foreground": "border"}
    results = run(tmp_path / "data", out, **options, held_out=0.25)
    assert all(0 <= results["mean"][name] <= 1 for name in METRICS)
    scores = pd.read_csv(out / "audiojack" / "scores.csv")
    assert scores.isna().sum().sum() == 1 and scores["score"].notna().all()
    assert len(pd.read_csv(out / "audiojack" / "held_out.csv")) == 2


def test_a_whitened_flow_trains(tmp_path, monkeypatch):
    tree(tmp_path / "data", train=8)
    preset = choose_preset("workshop", whiten=True, epochs=1)
    monkeypatch.setitem(run.__globals__["choose_preset"].__globals__["PRESETS"], "w", preset)
    run(tmp_path / "data", tmp_path / "out", preset="w")
    flow = load_flow(tmp_path / "out" / "audiojack" / "model.pt")
    assert flow.inn[0].shrinkage.isfinite().all() and len(flow.inn) == 5


def test_an_unknown_method_is_named():
    with pytest.raises(InputError, match="'method' should be one of flow, gaussian, neighbours"):
        choose_preset("workshop", method="magic")
