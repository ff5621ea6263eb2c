"""Pages in a real browser: it complains of nothing, asks for nothing, and everything fits, in light and in dark."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib.colors
import pytest

from docs.picture import PLACE
from tdbs.analysis.conditions.asked import ConditionRow
from tdbs.reports.figures.bars import padding_by_strategy_svg
from tdbs.reports.figures.canvas import DARK, LIGHT
from tdbs.reports.figures.files import standalone
from tdbs.reports.figures.lengths import cap_lines
from tdbs.reports.page import write_report
from tdbs.reports.report import Report
from tdbs.reports.samples import DropExamples, ShownDrop, ShownSample
from tdbs.reports.sweep import sweep_figures
from tdbs.train.planning.strategies import STRATEGIES
from tests.reports.conftest import ESTIMATES, make_dataset, make_estimate, make_row, make_split, make_summary
from tests.reports.test_sweep_page import BEST, make_result

pytestmark = pytest.mark.browser
LONG = "a_strategy_with_quite_a_name"
GROUNDS = {False: "rgb(254, 254, 254)", True: "rgb(20, 23, 26)"}


def shown_drop() -> ShownDrop:
    pieces = (("an", True), (" unbroken" + "o" * 90, False), ("<b>", False))
    before = ShownSample(sample_id=3, length=12, label="no", pieces=pieces)
    return ShownDrop(before=before, after=ShownSample(sample_id=3, length=11, label="no", pieces=pieces[1:]))


def make_condition(rate: float) -> ConditionRow:
    return ConditionRow(
        strategy="reach", condition=f"drop {rate}", drop_rate=rate, draws=3, score=0.9 - rate / 4, score_std=0.01,
        difference=-rate / 4, kept=1 - rate / 3, padding_fraction=None, seconds=0.01, speedup=1 + rate / 2,
    )  # fmt: skip


@pytest.fixture(params=["run", "comparison"])
def page(request, run_of, compared, tmp_path) -> Path:
    """Return a page with everything on it: of a run, or of a comparison of all strategies."""
    parts = {}
    if request.param == "run":
        parts["run"] = run_of()
    else:
        strategies = ["random", *(name for name in STRATEGIES if name != "random"), LONG]
        rows = [make_row(name, seed, seconds=3000.0 / (n + 1)) for n, name in enumerate(strategies) for seed in (0, 1)]
        summaries = [make_summary(name, seconds=3000.0 / (n + 1)) for n, name in enumerate(strategies)]
        comparison = compared(rows=rows, summary=summaries)
        comparison.runs.update({name: run_of() for name in strategies})
        parts["comparison"] = comparison
    seconds = {"read": 0.1, "tokenize": 0.6, "annotate": 0.2, "write": 0.2, "total": 1.25}
    lengths = [5, 5, 9, 9, 13, 40, 128]
    report = Report(
        dataset=make_dataset(
            max_length=128,
            bucket_edges=(*range(0, 128, 5), 128),
            splits={"train": make_split(lengths, max_length=128), "validation": make_split([4])},
            seconds=seconds,
        ),
        estimates=[
            *ESTIMATES,
            make_estimate("packed", 1200, 0.0, 3.3),  # fewer tokens than the run: the page opens with them
            make_estimate(LONG, 2_000_000_000, 0.043, 2.1),
        ],
        over_rates=[] if "comparison" in parts else [make_condition(rate) for rate in (0.0, 0.5, 1.0)],
        caps=cap_lines(STRATEGIES["tdbs_paper"], max_length=128, epochs=3),
        drops=DropExamples(
            strategy="reach", seed=1, epoch=0, samples=7, changed=3, tokens=90, dropped=4, drops=(shown_drop(),)
        ),
        **parts,
    )
    [path] = write_report(tmp_path / "page.html", report)
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_a_page_fits_and_is_quiet(browser, page, width, dark):
    seen = browser.look(page, width=width, dark=dark, shot=page.with_suffix(".png"))  # to be looked at on a failure
    assert (seen.complaints, seen.requests) == ([], [])
    assert (seen.overflows, seen.overlaps) == ([], [])
    assert seen.paper == GROUNDS[dark]


FILES = {
    "of a page": lambda: standalone(padding_by_strategy_svg(ESTIMATES)),
    "of a sweep": lambda: sweep_figures(make_result(trials=[BEST, replace(BEST, number=1)]))["history"],
    "of the README": lambda: PLACE.read_text(encoding="utf-8"),
}
_FILLS = "[...document.querySelectorAll('{}')].map(each => getComputedStyle(each).fill)"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_a_figure_as_a_file_follows_the_readers_colours(browser, name, dark, tmp_path):
    """Its ground and its words have colours of the palette that the reader asks for, and nothing lies on anything."""
    place = tmp_path / "figure.svg"
    place.write_text(FILES[name](), encoding="utf-8")
    browser.open(place, width=800, dark=dark)
    palette = {matplotlib.colors.to_rgb(color) for color in (DARK if dark else LIGHT).values()}
    of_words = browser.value(_FILLS.format("text"))
    assert of_words
    assert {tuple(int(part) / 255 for part in re.findall(r"\d+", fill)) for fill in of_words} <= palette
    assert browser.value(_FILLS.format("svg > rect, #patch_1 path")) == [GROUNDS[dark]]
    assert browser.overlaps() == []


BROKEN = """<!doctype html><title>x</title><link rel="icon" href="data:,"><main>
<img src="http://127.0.0.1:9/x.png"><div style="width: 2000px">wide</div>
<svg width="100" height="20"><text x="0" y="15">one word</text><text x="5" y="15">another</text></svg>
<svg width="100" height="20"><text x="80" y="15">too far to the right</text></svg>
<svg width="100" height="20"><g id="x-9-kept-0"><path d="M0 0H50V20H0Z"/></g><text x="0" y="15">on a bar</text></svg>
<script>missing()</script></main>"""


def test_meta_the_check_above_can_fail(browser, tmp_path):
    """A script that fails, a request, a page that is too wide, words over words and a bar: all of them are seen."""
    (tmp_path / "broken.html").write_text(BROKEN)
    seen = browser.look(tmp_path / "broken.html", width=360, dark=False)
    assert any("missing is not defined" in complaint for complaint in seen.complaints)
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert any(found.startswith("DIV wide: ") for found in seen.overflows)
    assert seen.overlaps == ["one word / another", "too far to the right is outside", "on a bar / x-9-kept-0"]
