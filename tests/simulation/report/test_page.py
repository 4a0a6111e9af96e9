import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from common.metrics.detection import MATCHING_RULE
from common.metrics.scores import CaseScores
from simulation.report.content import ReportContent
from simulation.report.page import render_report, write_report
from tests.simulation.report.fixture import SITES, made_up_content, made_up_rounds

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Balance(HTMLParser):
    """Fails on a tag that is closed out of turn, and gathers ids and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [value for name, value in attrs if name in {"src", "href", "xlink:href"} and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return made_up_content()


@pytest.fixture(scope="module")
def page(content: ReportContent) -> str:
    return render_report(content)


def test_page_is_whole_small_and_needs_nothing_else(page: str) -> None:
    parser = parse(page)
    assert len(page.encode()) < 3_000_000
    assert not {"script", "link", "iframe", "object"} & parser.tags
    assert len(parser.ids) == len(set(parser.ids))
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in parser.addresses)
    assert not re.findall(r"@import|url\((?!#)", page)
    fragments = [address[1:] for address in parser.addresses if address.startswith("#")]
    assert set(fragments) <= set(parser.ids)
    assert page.count("<img ") == 12


def test_page_says_what_it_must(page: str, content: ReportContent) -> None:
    text = " ".join(parse(page).text)
    rule, meaning = MATCHING_RULE.split(": ", 1)
    for needed in (
        "not a medical device",
        rule,
        meaning,
        "every number on this page is made up",
        "truncated-file",
        'sequences = ["t1c", "flair"]',
        "2 cases belong to no site",
        "out-of-memory",
        "percentile bootstrap over patients",
        *SITES,
    ):
        assert needed in text, needed
    federated = content.result["arms"]["federated"]
    assert f"{federated['dice']:.3f}" in text
    assert f"{federated['intervals']['dice']['low']:.3f}" in text
    ratio = content.result["comparisons"]["federated_over_pooled"]["dice"]["estimate"]
    assert f"{ratio:.1%}".replace("%", "\u00a0%") in text
    assert f"{content.result['arms']['local']['cross_site']['north']['west']:.2f}" in text


def test_lesionwise_scores_have_rows_where_the_result_has_them(content: ReportContent) -> None:
    assert "Lesion-wise" not in render_report(content)
    arms = content.result["arms"]
    intervals = {**arms["federated"]["intervals"]}
    intervals["lesionwise_dice"] = {"estimate": 0.4321, "low": 0.3, "high": 0.5, "units": 7}
    intervals["lesionwise_hd95"] = {"estimate": 87.65, "low": 60.0, "high": 99.0, "units": 7}
    scored = {"federated": {**arms["federated"], "intervals": intervals}}
    text = render_report(replace(content, result={**content.result, "arms": {**arms, **scored}}))
    assert text.count("Lesion-wise") == 2
    assert "0.432" in text and "87.65" in text


def test_everything_from_outside_is_escaped(content: ReportContent) -> None:
    evil = '<script>alert("x")</script>'
    score = CaseScores("p", evil, evil, 0.5, (), 0, 0)
    result = {
        **content.result,
        "name": evil,
        "status": evil,
        "notes": [evil],
        "matching_rule": evil,
        "rounds": [
            {
                "round": 1,
                "sites": [{"site": evil, "outcome": evil, "code": evil, "loss": 1.0, "incoming_dice": 0.1}],
            }
        ],
        "quarantine": {evil: {evil: 1}},
        "cases": {evil: {"training": 1}},
        "seconds": {evil: 1.0, "total": 1.0},
        "arms": {**content.result["arms"], "local": {"cross_site": {evil: {evil: 0.5}}}},
    }
    hostile = replace(
        content,
        name=evil,
        result=result,
        config_text=evil,
        cohort=evil,
        federated_scores=(score,),
        lesion_volumes_mm3={evil: (1.0, 2.0)},
        slices=(replace(content.slices[0], title=evil, exam=evil, site=evil, remark=evil),),
    )
    page = render_report(hostile)
    assert "script" not in parse(page).tags
    assert "<script" not in page


def test_a_run_with_nothing_to_show_is_still_a_page() -> None:
    bare = ReportContent("bare", {"status": "failed", "seed": 1, "rounds": [], "arms": {}}, "")
    text = " ".join(parse(render_report(bare)).text)
    assert "no model was trained" in text
    assert "No federated model to judge." in text


def test_local_models_alone_are_shown_with_what_they_find_by_size(content: ReportContent) -> None:
    local = content.result["arms"]["local"]
    alone = {**content.result, "arms": {"local": local}, "comparisons": {}}
    text = " ".join(parse(render_report(replace(content, result=alone, federated_scores=()))).text)
    share = local["sensitivity_by_volume"]["27_to_275"]
    assert f"27 to 275 mm³ {share['lesions']} {share['value'] * 100:.0f}\u00a0%" in text


def test_many_rounds_are_shown_in_blocks(content: ReportContent) -> None:
    many = {**content.result, "rounds": made_up_rounds(173, tuple(f"site-{i}" for i in range(33)))}
    page = render_report(replace(content, result=many, slices=(), lesion_volumes_mm3={}))
    parse(page)
    assert "One cell is 4 rounds" in page
    assert page.count('class="o late"') == 2  # one cell and its key
    assert "172/173" in page


def test_same_content_same_bytes(tmp_path: Path, content: ReportContent, page: str) -> None:
    write_report(tmp_path / "report.html", content)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
