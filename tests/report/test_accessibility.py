"""The report for keyboards and screen readers: axe-core finds nothing serious in a real browser, light and dark."""

import importlib.util
import itertools
import json
import re
from html import unescape
from pathlib import Path

import pytest
from headless_browser import loaded
from report_samples import claim, context, page, picture, whole_study

pytestmark = pytest.mark.slow
CARRIERS = ("axe_core_python", "axe_playwright_python")  # packages that carry axe-core (Deque, MPL 2.0)
RUN = """
<script src="axe.min.js"></script><script>
document.querySelectorAll("details").forEach(part => part.open = OPEN);
axe.run(document, {resultTypes: ["violations"]}).then(result => {
  const found = result.violations.map(rule =>
    ({id: rule.id, impact: rule.impact, where: rule.nodes.map(node => node.html)}));
  const out = document.createElement("pre");
  out.id = "found";
  out.textContent = JSON.stringify({dark: matchMedia("(prefers-color-scheme: dark)").matches, found});
  document.body.append(out);
});</script></body>"""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script out of a package."""
    for name in CARRIERS:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    pytest.skip("axe-core is not installed (pip install axe-core-python)")


def everything() -> str:
    """A page with every part that a study can give it."""
    table = b"**T**\n\n| a |  | b |\n|:--|--:|:-:|\n| x | **1** | 2* |\n\nA note.\n"
    rates = {"false_supported": 0.03, "false_contradicted": 0.01, "power": 0.2}
    claims = [
        claim(id=name, verdict=verdict, rates=rates, family="shapes", estimate=0.1, interval=[0, 1])
        for name, verdict in (("C01", "supported"), ("C04", "inconclusive"), ("C07", "contradicted"))
    ]
    names = ("claims", "supported", "contradicted", "null_supported", "null_contradicted")
    row = {"family": "shapes", **dict.fromkeys((*names, "paper_supported", "paper_contradicted"), 1)}
    benchmark = {"benchmark": "piqa", "floor": 0.5, "mean": 0.6, "sd": 0.1, "stderr": 0.1, "before": {"weak": 0.5}}
    rule = {"rule": "r", "target": "t", "value": "v", "met": False, "about": "a"}
    clause = {"supported": "it does", "contradicted": "it does not", "inconclusive": "who knows", "number": "{}"}
    return page(
        **whole_study(lambda: "some text")
        | {
            "claims": {"claims": claims, "yardstick": [row], "noise": "noise"},
            "artifacts": {name: picture(1300, 600) for name in ("figure_1", "figure_2", "figure_claims")}
            | {"table_3": table, "table_6": table},
            "titles": {
                "figure_2": {"question": "mechanism"},
                "table_3": {"question": "scores"},
                "table_6": {"question": "runs"},
            },
            "sentences": {
                "question": "Does it?",
                "answer": [[{"claim": "C01", **clause}, {"claim": "C04", **clause}]],
                "questions": {"scores": "It does."},
                "artifacts": {"table_3": {"says": "s", "claims": ["C01", "C04", "C07"]}},
            },
            "showing": {"rules": [rule], "benchmarks": [benchmark]},
            "contradictions": [{"id": "I01", "place": "§1", "text": "a", "here": "b"}],
            "deviations": [{"kind": "open", "what": "a", "place": "b", "paper": "c", "here": "d", "why": "e"}],
            "times": {"train_model": [1.0]},
        }
    )


def findings(browser: str, axe: str, content: str, folder: Path, *, dark: bool, opened: bool) -> dict:
    """What axe-core says of a page; the page's own policy, which forbids axe as well, is taken out."""
    (folder / "axe.min.js").write_text(axe, encoding="utf-8")
    content = re.sub(r"<meta http-equiv.*?>", "", content)
    (folder / "page.html").write_text(
        content.replace("</body>", RUN.replace("OPEN", str(opened).lower())), encoding="utf-8"
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    document = loaded(browser, folder / "page.html", "--window-size=1280,2000", scheme)
    return json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', document, re.DOTALL)[1]))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("opened", [False, True], ids=["folded", "unfolded"])
def test_axe_finds_nothing_serious(browser, axe, tmp_path, dark, opened):
    found = findings(browser, axe, everything(), tmp_path, dark=dark, opened=opened)
    assert found["dark"] is dark
    assert [rule for rule in found["found"] if rule["impact"] in ("serious", "critical")] == []


def test_this_test_would_notice_grey_on_grey_and_a_picture_without_words(browser, axe, tmp_path):
    worse = everything().replace("--ink: #1b2330", "--ink: #cccccc")
    worse = re.sub(r'alt="Figure 2[^"]*"', "", worse)
    found = findings(browser, axe, worse, tmp_path, dark=False, opened=False)
    assert {"color-contrast", "image-alt"} <= {rule["id"] for rule in found["found"]}


def test_headings_go_down_by_one_level_at_a_time_and_there_is_one_title():
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", everything())]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_keyboard_can_skip_to_the_answer_and_every_landmark_has_a_name():
    html = everything()
    assert html.index('class="skip" href="#main"') < html.index("<nav") < html.index('<main id="main"')
    assert '<nav aria-label="Contents"' in html
    named = re.findall(r'<(?:section|article)[^>]* aria-labelledby="([^"]+)"', html)
    assert len(named) == len(re.findall(r"<(?:section|article)[ >]", html))
    assert set(named) <= set(re.findall(r'id="([^"]+)"', html))
    assert ":focus-visible" in html and len(context()["contents"]) >= 2
