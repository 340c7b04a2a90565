"""The claims at a glance: rows, texts and what lies beyond the axis."""

import numpy as np
from plw.figures.figure_claims import REACH, draw, figure_data
from plw.figures.style import STYLE


def _claim(name, **changes):
    scale = {"region": 0.5, "estimate": 40.0, "own": [39, 41], "without": [-1.6, 1.6], "paper": [2, 5]}
    row = {"id": name, "family": "shapes", "calibration": "worlds", "verdict": "supported", "text": f"Claim {name}."}
    row |= {"estimate": 3.0, "interval": [2.0, 4.0], "region": [0.0, None], "standardised": scale}
    return {**row, "rates": {"p_without": 0.01, "p_paper": 0.5}, **changes}


def test_rows_are_the_claims_without_diagnostics_families_together():
    claims = [
        _claim("C01"),
        _claim("C02", family="mechanism"),
        _claim("C03", calibration="diagnostic"),
        _claim("C04", estimate=None, interval=None, region=None, standardised=None, rates=None, verdict="inconclusive"),
    ]
    data = figure_data({"claims": claims})
    assert data["claim"].tolist() == ["C01", "C04", "C02"]
    assert np.isnan(data["place"][1])
    figure = draw(data, style=STYLE, note="noise")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "3 (2, 4)" in texts and "> 0" in texts and "not measured" in texts
    assert "? inconclusive" in texts, "a verdict is a word and not only a colour"


def test_an_estimate_beyond_the_axis_is_drawn_at_its_edge():
    figure = draw(figure_data({"claims": [_claim("C01")]}), style=STYLE)
    marks = [line for line in figure.axes[0].lines if line.get_marker() == ">"]
    assert [line.get_xdata()[0] for line in marks] == [REACH[1]]
