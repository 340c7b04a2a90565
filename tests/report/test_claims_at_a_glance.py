"""The claims on the report: the figure first, the tally's yardstick, and error rates beside verdicts."""

from plw.report.claims import claim_rows, verdict_counts
from report_samples import claim, page, picture


def test_the_claims_at_a_glance_and_figure_1_stand_on_top_and_not_in_a_section():
    names = ("claims", "supported", "contradicted", "null_supported", "null_contradicted")
    row = {"family": "shapes", **dict.fromkeys((*names, "paper_supported", "paper_contradicted"), 1)}
    record = {"claims": [claim()], "yardstick": [row], "noise": "noise of one seed"}
    html = page(claims=record, artifacts={"figure_claims": picture(9, 9), "figure_1": picture(9, 9)})
    order = ["answer", "at-a-glance", "figure_1", "figure_claims", "trust", "yardstick", "runs"]
    places = [html.index(f'id="{name}"') for name in order]
    assert places == sorted(places) and html.count('id="figure_1"') == html.count('id="figure_claims"') == 1
    assert 'id="other"' not in html
    assert "noise of one seed" in html


def test_error_rates_stand_beside_the_verdict_and_what_is_not_calibrated_says_so():
    rates = {"false_supported": 0.03, "false_contradicted": 0.011}
    rows = claim_rows(
        {
            "claims": [
                claim(rates=rates, calibration="worlds"),
                claim(calibration="none"),
                claim(calibration="diagnostic"),
            ]
        }
    )
    assert rows[0]["rates"] == "supports wrongly 3.0 %, contradicts wrongly 1.1 %"
    assert "not calibrated" in rows[1]["rates"]
    assert sum(item["count"] for item in verdict_counts(rows)) == 2, "a diagnostic is not counted"
