"""The report page in a real browser: what a model wrote stays text, no script runs, and the page fits a phone."""

import html
import json
import re
from html.parser import HTMLParser

import pytest
from headless_browser import document_after_loading, loaded
from report_samples import claim, mechanism, outputs, page, picture, run_row, whole_study

pytestmark = pytest.mark.slow
HOSTILE = (
    "<script>document.title='hacked'</script></pre></div></style></title>"
    "<img src=x onerror=\"document.title='hacked'\"><svg onload=\"document.title='hacked'\">"
    "&amp; &lt;b&gt; {{ 7 * 7 }} <b>bold</b> \"double\" 'single'"
)


def title(document: str) -> str:
    return html.unescape(re.search(r"<title>(.*?)</title>", document, re.S)[1])


def text_of(document: str) -> str:
    """The text that a reader sees: elements gone, entities resolved."""
    return html.unescape(re.sub(r"<[^>]*>", "", document.split("<body>", 1)[1]))


class Elements(HTMLParser):
    """Names of all elements of a document, and of all their attributes; what stands within a value is neither."""

    def __init__(self, document: str):
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_markup_in_generations_and_claims_appears_as_text_and_runs_nothing(browser, tmp_path):
    content = page(
        generations={"r0": outputs(HOSTILE), "r1": outputs(HOSTILE)},
        mechanisms=[mechanism("r0", HOSTILE)],
        claims={"claims": [claim(text=HOSTILE, reason=HOSTILE)]},
    )
    document = document_after_loading(browser, content, tmp_path)
    assert title(document) == "Does Prompt Loss Matter? Study test"
    assert text_of(document).count(HOSTILE) == 6
    assert not {"script", "svg", "img"} & Elements(document).names and "<b>bold" not in document


class Marked:
    """Hostile texts with a number each, so that the page can be asked for every one of them."""

    def __init__(self):
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"{HOSTILE} mark-{self.count}-"


def test_markup_in_every_text_that_a_user_can_give_is_text(browser, tmp_path):
    hostile = Marked()
    content = page(**whole_study(hostile))
    document = document_after_loading(browser, content, tmp_path)
    assert title(document) == "Does Prompt Loss Matter? Study test"
    found = Elements(document)
    assert not {"script", "svg", "iframe", "object", "embed", "link", "form"} & found.names
    assert not re.search(r"href=.javascript|<b>bold", document)
    assert not [name for name in found.attributes if name.startswith("on")], "an element has a handler of events"
    assert all(source.startswith("data:image/png") for source in re.findall(r'<img[^>]* src="([^"]*)', document))
    text = text_of(document)
    shown = {int(number) for number in re.findall(r"mark-(\d+)-", text)}
    assert len(shown) >= 0.8 * hostile.count, sorted(set(range(1, hostile.count + 1)) - shown)


def test_this_test_would_notice_a_script_that_runs(browser, tmp_path):
    content = page(generations={"r0": outputs("PLACEHOLDER")})
    unsafe = re.sub(r"<meta http-equiv.*?>", "", content).replace("PLACEHOLDER", HOSTILE)
    assert title(document_after_loading(browser, unsafe, tmp_path)) == "hacked"


def test_the_pages_own_policy_stops_a_script_that_would_get_in(browser, tmp_path):
    unsafe = page(generations={"r0": outputs("PLACEHOLDER")}).replace("PLACEHOLDER", HOSTILE)
    assert title(document_after_loading(browser, unsafe, tmp_path)) != "hacked"


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_is_wider_than_the_window(browser, tmp_path, width):
    table = "**T**\n\n|" + " a long heading |" * 20 + "\n|" + "---|" * 20 + "\n|" + " 1.234 |" * 20 + "\n"
    given = whole_study(lambda: "a text of some words") | {
        "artifacts": {"figure_1": picture(2000, 500), "table_1": table.encode()},
        "claims": {"claims": [claim(numbers={f"number_{i}": 0.123 for i in range(40)})]},
        "generations": {"r0": outputs("w" * 600)},
    }
    content = page(**given)
    # A frame of the window's width, measured by a page around it: headless windows have a least width of their own.
    (tmp_path / "inner.html").write_text(content, encoding="utf-8")
    outer = (
        f'<iframe id="f" src="inner.html" style="width:{width}px;height:900px;border:0"></iframe><p id="out"></p>'
        "<script>f.onload = () => { const d = f.contentDocument.documentElement;"
        " f.contentDocument.querySelectorAll('details').forEach(part => part.open = true);"
        " out.textContent = d.scrollWidth + ' of ' + d.clientWidth }</script>"
    )
    (tmp_path / "page.html").write_text(outer)
    dom = loaded(browser, tmp_path / "page.html", "--allow-file-access-from-files", "--window-size=1600,1000")
    inside, frame = map(int, re.search(r"(\d+) of (\d+)", dom).groups())
    assert frame > 0.9 * width
    assert inside <= frame


def shown_cells(browser, content: str, folder) -> list[str]:
    """The weights whose answers to the first prompt are seen, by a script in a copy without the page's policy."""
    script = (
        "<script>onload = () => { const seen = [...document.querySelectorAll('#samples details[open] .cell')]"
        ".filter(cell => cell.checkVisibility()).map(cell => cell.querySelector('b').textContent);"
        " document.title = JSON.stringify(seen) }</script></body>"
    )
    content = re.sub(r"<meta http-equiv.*?>", "", content).replace("</body>", script)
    return json.loads(title(document_after_loading(browser, content, folder)))


def test_the_slider_sets_two_weights_side_by_side_and_where_it_cannot_all_are_seen(browser, tmp_path):
    rows = [run_row(f"r{i}", plw) for i, plw in enumerate((0.0, 0.01, 0.1, 1.0))]
    content = page(score_rows=rows, generations={row["run"]: outputs(f"at {row['plw']}") for row in rows})
    assert shown_cells(browser, content, tmp_path) == ["PLW 0", "PLW 1"]
    moved = content.replace('class="stop-0" checked', 'class="stop-0"').replace(
        'name="answers-left" class="stop-2"', 'name="answers-left" class="stop-2" checked'
    )
    assert shown_cells(browser, moved, tmp_path) == ["PLW 0.1", "PLW 1"]
    older = content.replace("@supports selector(:has(a))", "@supports (unknown: thing)")
    assert shown_cells(browser, older, tmp_path) == ["PLW 0", "PLW 0.01", "PLW 0.1", "PLW 1"]


def test_a_link_to_a_folded_claim_unfolds_it(browser, tmp_path):
    script = (
        "<script>onload = () => { location.hash = 'claim-C01'; setTimeout(() => {"
        " document.title = document.getElementById('claim-C01').checkVisibility() }, 300) }</script></body>"
    )
    content = re.sub(r"<meta http-equiv.*?>", "", page(claims={"claims": [claim()]})).replace("</body>", script)
    assert title(document_after_loading(browser, content, tmp_path)) == "true"
