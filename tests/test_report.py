"""The report: one inert, self-contained page for any record, however little of it there is."""

import copy
import io
import json
import math
import random
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from augmind.report import frame, render, summary
from augmind.report.plots import Axis, axis_over, curve, number_line
from augmind.report.robustness import robust_view
from augmind.report.snippet import inert
from augmind.report.where import map_view
from augmind.report.words import DASH, METRICS, clean, duration, interval, plain, probability, whole
from augmind.sidebyside import table
from report_record import CLASSES, GROUPS, record
from report_record import METRICS as MEASURED

VOID = {"meta", "img", "br", "link", "input", "hr"}
SECTIONS = {
    "results": ("arms", "No arms were compared."),
    "classes": ("rows", "No recall of single classes was recorded."),
    "gallery": ("gallery", "There are no rows to show."),
    "generators": ("generators", "No generator was trained."),
    "health": ("health", "The data was not inspected."),
    "choices": ("choices", "No choices were recorded."),
    "findings": ("findings", "Nothing to remark."),
    "reproduce": ("command", "The command was not recorded."),
}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "</style><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\x1b[31mred\x1b[0m\x00\u202ecipa\u2069",
    "&lt;b&gt; & co",
)


class Page(HTMLParser):
    """Reads a page strictly: tags must balance; ids, attributes and visible text are kept."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack and self.stack.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if "style" not in self.stack:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def whole_record():
    return record()


@pytest.fixture(scope="module")
def small():
    """Every part of the record, with few entries each."""
    few = record(1)
    for part in ("rows", "arms", "generators", "choices"):
        few[part] = few[part][: 40 if part == "rows" else 2]
    few["gallery"] = {k: v[:1] for k, v in few["gallery"].items()}
    return few


@pytest.fixture(scope="module")
def page(whole_record):
    return render(whole_record)


def poison(value, draw):
    """The same record with hostile text in place of every string and key that a user could have chosen."""
    if isinstance(value, str):
        return draw.choice(HOSTILE)
    if isinstance(value, list):
        return [poison(v, draw) for v in value]
    if isinstance(value, dict):
        return {k: poison(v, draw) for k, v in value.items()} | dict.fromkeys(HOSTILE[:3], 1.0)
    return value


def assert_inert(html: str) -> None:
    """Nothing in the page can run or load: no active element, no handler, no address but embedded pictures and the page itself."""
    for tag, attributes in Page(html).tags:
        assert tag not in {"script", "iframe", "object", "embed", "link", "form", "base", "audio", "video", "foreignobject", "use"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}:
                assert (value or "").startswith(("data:image/", "#")), (tag, name, value)
            assert "url(" not in (value or ""), (tag, name, value)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_page_is_balanced_and_has_no_id_twice(page):
    ids = [a["id"] for _, a in Page(page).tags if "id" in a]
    assert len(ids) == len(set(ids)) and set(SECTIONS) <= set(ids)
    anchors = {a["href"] for t, a in Page(page).tags if t == "a"}
    assert anchors == {f"#{i}" for i in ids}


def test_page_forbids_everything_but_embedded_pictures_and_styles(page):
    policies = [a["content"] for _, a in Page(page).tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert_inert(page)


def test_page_says_the_verdict_with_its_interval(page):
    text = Page(page).text
    assert "synthetic rows showed no gain on this data." in text
    assert "−0.4 points of balanced accuracy against best classical , 95 % interval −2.1 to +1.3" in text
    assert "No gain shown" in text and "2 min 31 s" in text and "augmind expand data/fashion --out runs/fashion-200" in text


@pytest.mark.parametrize(
    ("use", "ends", "words"),
    [
        (True, [0.01, 0.05], "Use synthetic data"),
        (False, [-0.05, -0.01], "Synthetic data makes it worse"),
        (False, [-0.02, 0.01], "No gain shown"),
        (False, [0.01, 0.05], "Leave synthetic data out"),
        (None, [None, None], "No verdict"),
    ],
)
def test_badge_tells_the_verdict_in_words(use, ends, words):
    verdict = {"use_synthetic": use, "gain": 0.0, "interval": ends, "sentence": "s"}
    html = render({"verdict": verdict})
    assert re.search(rf'<p class="badge">.*{words}</p>', html)


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_says_in_one_line_that_it_is_empty(section, small):
    key, line = SECTIONS[section]
    assert line not in render(small)
    for nothing in ({}, None, []):
        assert line in Page(render({**small, key: nothing})).text
    assert line in Page(render({k: v for k, v in small.items() if k != key})).text


def test_empty_record_makes_a_page_with_every_section_empty():
    text = Page(render({})).text
    assert all(line in text for _, line in SECTIONS.values())
    assert "This run has no verdict" in text


def test_any_part_may_be_missing_or_of_another_type(small):
    """Every value of the record, at any depth, in turn replaced by something that does not belong there."""
    draw = random.Random(0)

    def places(value, path=()):
        yield path
        inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
        for k, v in inside:
            yield from places(v, (*path, k))

    paths = [p for p in places(small) if p]
    for path in draw.sample(paths, 60):
        broken = copy.deepcopy(small)
        at = broken
        for k in path[:-1]:
            at = at[k]
        at[path[-1]] = draw.choice([None, float("nan"), float("inf"), "text", 7, [], {}, [None], {"a": None}, True, 10**400])
        assert_inert(render(broken))


def test_hostile_strings_are_shown_and_do_nothing(whole_record):
    for seed in range(3):
        html = render(poison(whole_record, random.Random(seed)))
        assert_inert(html)
        assert "{{7*7}}{% raw %}" in html and "49{%" not in html
        assert not any(c in html for c in "\x1b\x00\u202e\u2069")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_hostile_previews_keep_only_harmless_tags():
    assert inert('<img src="data:image/png;base64,AA" onerror="alert(1)" alt="a">') == '<img src="data:image/png;base64,AA" alt="a">'
    assert inert('<img src="https://example.org/a.png">') == "<img>"
    assert inert("<script>alert(1)</script>a<style>*{}</style>b") == "ab"
    assert inert("</section></main><p>one<b>two") == "<p>one<b>two</b></p>"
    assert inert('<p style="position:fixed" onclick="x()">a &lt;b&gt; &amp;</p>') == "<p>a &lt;b&gt; &amp;</p>"
    assert inert('<svg viewBox="0 0 9 9"><path d="M0 0" fill="url(#x)"/></svg>') == '<svg viewbox="0 0 9 9"><path d="M0 0"></path></svg>'
    assert inert("<iframe src=x><p>a</p></iframe>b <a href='javascript:x'>c</a>") == "b c"
    assert inert(None) == "" and inert(inert("<b>a</b>")) == "<b>a</b>"


def test_page_is_the_same_for_the_same_record(whole_record, page):
    assert render(json.loads(json.dumps(whole_record))) == page
    assert render(copy.deepcopy(whole_record)) == page
    before = json.dumps(whole_record)
    render(whole_record)
    assert json.dumps(whole_record) == before


def test_missing_figures_are_dashes_and_never_nan(whole_record):
    holes = copy.deepcopy(whole_record)
    for i, arm in enumerate(holes["arms"]):
        for figures in arm["metrics"].values():
            figures.update(mean=(None, math.nan, math.inf)[i % 3], low=None, high=math.nan)
    for row in holes["rows"]:
        row["value"] = math.nan
    holes["verdict"].update(gain=None, interval=[None, math.nan], p=None, certifiable=math.nan)
    text = Page(render(holes)).text
    assert DASH in text and not re.search(r"\b(nan|NaN|inf|None|undefined)\b", text)


def test_page_of_200_pictures_is_small():
    many = record(10)
    shown = render(many)
    assert shown.count("<img") >= 200 and len(shown.encode()) < 3_000_000


def test_page_stays_small_by_showing_fewer_rows_and_says_so():
    heavy = record(8)
    for c in heavy["gallery"]["classes"]:
        c["real"] = [html.replace("base64,", "base64," + "A" * 30_000) for html in c["real"]]
    heavy["gallery"]["classes"] += [{**c, "class": f"{c['class']} {i}"} for i in range(3) for c in heavy["gallery"]["classes"]]
    heavy["health"]["counts"]["train"] = {f"class {i}": i for i in range(5000)}
    html = render(heavy)
    assert len(html.encode()) < 3_000_000
    assert re.search(r"To keep this page small, \d+ rows of each kind are shown", html) and "and 4910 more" in html


def test_best_mean_of_each_column_is_marked(whole_record):
    metrics = {"balanced_accuracy": {"mean": 0.7}, "ece": {"mean": 0.2}}
    better = {"balanced_accuracy": {"mean": 0.8}, "ece": {"mean": 0.3}}
    arms = [{"learner": "l", "arm": a, "label": a, "metrics": m} for a, m in (("real", metrics), ("synthetic", better))]
    marked = re.findall(r'<span class="best">([\d.]+)', render({"arms": arms}))
    assert sorted(marked) == ["20.0", "80.0"]


def test_seed_dots_are_means_over_folds():
    rows = [
        {"learner": "l", "arm": "real", "fold": f, "seed": s, "metric": "balanced_accuracy", "value": 0.5 + f / 10}
        for s in range(4)
        for f in range(3)
    ]
    arms = [{"learner": "l", "arm": "real", "metrics": {"balanced_accuracy": {"mean": 0.6, "low": 0.5, "high": 0.7}}}]
    dots = re.findall(r'<circle cx="([\d.]+)%"[^>]*class="seed', render({"rows": rows, "arms": arms}))
    assert dots == ["50.0"] * 4


def test_axis_covers_its_values_with_round_ticks():
    axis = axis_over([0.712, 0.768, None, math.nan])
    assert axis is not None and axis.low < 0.712 and axis.high > 0.768
    assert axis.ticks == (0.71, 0.72, 0.73, 0.74, 0.75, 0.76, 0.77) or all(abs(t * 100 - round(t * 100)) < 1e-9 for t in axis.ticks)
    assert axis_over([None, math.nan]) is None
    assert Axis(0.0, 1.0, ()).at(0.5) == 50 and Axis(0.0, 1.0, ()).at(9.0) == 97


def test_number_line_puts_gain_interval_and_zero_in_order():
    svg = str(number_line(0.02, 0.01, 0.03, None, METRICS["balanced_accuracy"]))
    zero, dot = (float(re.search(p, svg).group(1)) for p in (r'x1="([\d.]+)%"[^/]*class="zero"', r'cx="([\d.]+)%"[^/]*class="gain"'))
    low, high = (float(x) for x in re.search(r'x1="([\d.]+)%" x2="([\d.]+)%"[^/]*class="span"', svg).groups())
    assert zero < low < dot < high and abs(dot - (low + high) / 2) < 0.02
    assert number_line(None, 0.0, 1.0, 0.1, METRICS["accuracy"]) == ""


OPTIONAL = {"confusion": "confusion", "learning": "growth", "robustness": "robustness", "groups": "fairness"}


@pytest.mark.parametrize("section", OPTIONAL)
def test_a_section_without_figures_is_left_out_with_its_link(section, whole_record, page):
    assert f'<section id="{section}">' in page and f'href="#{section}"' in page
    for nothing in ({}, None, [], {"arms": [], "points": []}):
        html = render({**whole_record, OPTIONAL[section]: nothing})
        assert f'id="{section}"' not in html and f'href="#{section}"' not in html


def sections(html: str, section: str) -> str:
    start = html.index(f'<section id="{section}">')
    return html[start : html.index("</section>", start)]


def test_a_widened_gap_is_told_with_its_interval_and_groups(page):
    found = sections(page, "groups")
    text = Page(found + "</section>").text
    assert "synthetic on best classical 21.0 north ward and harbour 11.4 +12.0 +3.0 to +21.0 best classical" in text
    assert found.count('class="best"') == 1 and all(g in text for g in GROUPS)
    assert len(re.findall(r'class="track"', found)) == 3 * len(GROUPS)


def test_confusions_are_of_the_classical_arm_and_that_of_the_verdict(page, whole_record):
    found = sections(page, "confusion")
    assert re.findall(r"<h3><bdi>(.*?)</bdi>", found) == ["best classical", "synthetic on best classical"]
    assert found.count('<td class="cell') == 2 * len(CLASSES) ** 2 and found.count("wrong") == 2 * len(CLASSES) * (len(CLASSES) - 1)
    many = [f"class {i}" for i in range(30)]
    counts = [[10.0 if i == j else 0.0 for j in range(30)] for i in range(30)]
    counts[3][7] = 5.0
    large = {**whole_record, "confusion": {"classes": many, "arms": [{"arm": "classical", "counts": counts}]}}
    text = Page(sections(render(large), "confusion") + "</section>").text
    assert "class 3 class 7 33.3 5.0" in text and "class 4" not in text


def test_the_learning_curve_shows_every_training_the_law_and_the_rows_at_hand(page):
    found = sections(page, "learning")
    assert found.count("<circle") == 9 and found.count('class="mark') == 3
    assert "134 now" in found and "law guess" in found and "about 31 more real rows" in found
    heights = [float(y) for y in re.findall(r'y1="([\d.]+)" x2="[\d.]+%" y2="[\d.]+" class="law', found)]
    assert heights == sorted(heights) and len(heights) == 40


def test_robustness_marks_the_best_arm_under_each_corruption(page):
    found = sections(page, "robustness")
    first = found[: found.index("<details>")]
    assert first.count('class="best"') == 8 and first.count('<td class="cell"') == 4 * 9
    assert "JPEG" in first and "Gaussian noise" in first and found.count('<td class="cell"') == 4 * 9 + 8 * 12


def test_a_line_an_arm_shows_what_severity_costs(small):
    drawn = robust_view(small)
    arms, severities = small["robustness"]["arms"], small["robustness"]["severities"]
    assert drawn["chart"].count('class="mark') == len(arms) * (1 + len(severities)) and drawn["said"] == ""
    named = small | {"robustness": small["robustness"] | {"severities": ["20 dB", "<b>10</b> dB", "0 dB"]}}
    page = render(named)
    assert "ratios of signal to noise (20 dB, &lt;b&gt;10" in page and "<b>10</b> dB</text>" not in page
    assert (
        robust_view(small | {"robustness": {"corruptions": ["x"], "severities": [1], "arms": [{"arm": "real", "cells": {"x": [None]}}]}})["chart"]
        == ""
    )


def test_corrected_p_is_told_where_it_differs(page):
    assert "Holm 0.002" in page and "Holm 0.61" not in page


def test_curve_breaks_where_training_was_not_finite():
    assert str(curve([1.0, 2.0, None, 3.0, 4.0], "c")).count("<polyline") == 2
    assert str(curve([1.0] * 5000, "c")).count(",") == 120


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (plain(0.7424, METRICS["accuracy"]), "74.2"),
        (plain(-0.00001, METRICS["accuracy"], sign=True), "0.0"),
        (plain(-0.004, METRICS["accuracy"], sign=True), "−0.4"),
        (plain(True), DASH),
        (interval(-0.021, 0.013, METRICS["accuracy"], sign=True), "−2.1 to +1.3"),
        (interval(None, 0.1, METRICS["accuracy"]), ""),
        (probability(0.0004), "< 0.001"),
        (probability(None), DASH),
        (whole(12345), "12\u202f345"),
        (duration(8.14), "8.1 s"),
        (duration(151.2), "2 min 31 s"),
        (duration(11100), "3 h 05 min"),
        (duration(-1), DASH),
        (clean("a\x00b\u202ec\nd"), "abc d"),
        (clean("می\u200cخواهم"), "می\u200cخواهم"),
    ],
)
def test_figures_in_words(text, wanted):
    assert text == wanted


def printed(value, width=100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(summary(value))
    return out.getvalue()


def test_summary_fits_100_columns_in_ascii_and_holds_the_sentence(whole_record):
    text = printed(whole_record)
    assert text.isascii() and max(map(len, text.splitlines())) <= 100
    assert "synthetic rows showed no gain" in text and "* best classical" in text
    for name in ("real rows alone", "best classical", "control: same knowledge", "synthetic on best classical"):
        assert len(re.findall(rf"^ [* ] {name} .*\|-", text, re.MULTILINE)) == 2


def test_summary_strip_shows_the_interval_on_one_scale(whole_record):
    lines = [line for line in printed(whole_record).splitlines() if "|-" in line]
    assert len(lines) == 8 and all(re.search(r"\|-*o-*\|", line) for line in lines)
    assert lines[0].index("o", 50) < lines[1].index("o", 50)


def test_summary_is_inert_and_takes_any_record(whole_record):
    text = printed(poison(whole_record, random.Random(1)))
    assert "\x1b" not in text and "\u202e" not in text
    assert "no verdict" in printed({})
    assert "[bold]x" in printed({"verdict": {"sentence": "[bold]x"}})


def test_frame_holds_every_measurement(whole_record):
    table = frame(whole_record)
    assert list(table.columns) == ["learner", "arm", "fold", "seed", "metric", "value"]
    assert len(table) == len(whole_record["rows"]) == 2 * 4 * 9 * (len(MEASURED) + len(CLASSES))
    mean = table[(table.learner == "probe") & (table.arm == "real") & (table.metric == "accuracy")].value.mean()
    assert mean == pytest.approx(whole_record["arms"][0]["metrics"]["accuracy"]["mean"])
    assert frame({}).empty


def test_rows_set_aside_are_listed_beside_those_that_could_not_be_read():
    words = " ".join(Page(render(record())).words)
    unreadable, aside = words.index("Rows that could not be read"), words.index("Rows set aside")
    assert unreadable < words.index("truncated after 2 kB") < aside < words.index("same as bag/009.png")
    assert "Rows set aside" not in render({**record(), "health": {"corrupt": []}})


def test_runs_of_other_settings_stand_side_by_side_under_their_own_names():
    arm = {"learner": "probe", "arm": "real", "metrics": {"balanced_accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6}}, "difference_classical": None}
    one = {"arms": [arm], "verdict": {"sentence": "Do not."}}
    names = ("runs/[x]", "runs/:dog:")
    console = Console(record=True, width=120, emoji=False, highlight=False, file=io.StringIO())
    for part in table({"runs": dict.fromkeys(names, one), "settings": {"seed": dict(zip(names, (1, 2), strict=True))}}):
        console.print(part)
    said = console.export_text()
    assert "settings that differ" in said and all(said.count(name) == 3 for name in names)


def test_figures_of_texts_are_said_in_words_and_one_to_compare_with_has_no_better_way():
    found = record()
    for generator, own in zip(found["generators"], (0.4444, 0.2222), strict=False):
        generator["quality"] |= {"self_bleu": {"value": own}, "self_bleu_real": {"value": own / 2}}
    page = render(found)
    assert "how much each row repeats the others" in page and "different words per word" not in page
    heading = page[page.index("Self-BLEU of real rows") :].partition("</th>")[0]
    assert "better" not in heading and '<span class="best">0.22</span>' in page and "<span>0.11</span>" in page


def test_a_map_shows_each_class_on_all_real_rows_and_leaves_junk_out():
    real, rows = [[0.0, 0.0, 0], [1.0, 1.0, 1], [0.5, 0.5, 1]], [[0.5, 0.5, 0], [7, -3, 1], ["x", 0, 0], [1, 2], None, [float("nan"), 0, 1]]
    made = map_view({"name": "vae", "map": {"classes": ["a", "<b>"], "share": [0.4, 0.1], "real": real, "rows": rows}})
    assert made["share"] == "50 %" and [p["told"] for p in made["panels"]] == ["1 real, 1 synthetic", "2 real, 1 synthetic"]
    assert "M5.0 105.0h0M155.0 5.0h0M80.0 55.0h0" in made["panels"][0]["svg"] and "<b>" not in made["panels"][1]["svg"]
    assert "M155.0 102.0l" in made["panels"][1]["svg"]
    for other in ({}, {"map": 3}, {"map": {"real": real}}, {"map": {"real": real, "rows": "xyz"}}):
        assert map_view(other) == {}
    many = map_view({"map": {"classes": [str(i) for i in range(40)], "real": real, "rows": rows}})
    assert [p["name"] for p in many["panels"]] == ["all classes"] and many["panels"][0]["told"] == "3 real, 2 synthetic"
