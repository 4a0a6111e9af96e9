"""The report: one HTML file that needs nothing else, for a radiologist and for a statistician."""

from pathlib import Path

from common.durable import write_durably
from common.metrics.detection import MATCHING_RULE
from common.metrics.intervals import BOOTSTRAP
from simulation.report.content import ReportContent
from simulation.report.froc import render_froc
from simulation.report.markup import bullets, counted, escape, section
from simulation.report.reading import sites_of
from simulation.report.rounds import render_curves, render_participation, render_quarantine, render_seconds
from simulation.report.sections import (
    outline_key,
    render_arms,
    render_bands,
    render_cross_site,
    render_hospitals,
    render_slices,
    render_volumes,
)
from simulation.report.style import CSS
from simulation.report.subgroups import render_subgroups
from simulation.report.verdict import render_meaning, render_verdict

DISCLAIMER = "Research software, not a medical device."

_ARM_WORDS = (
    ("Federated", "one model; every hospital trains it on its own cases, and only model updates are averaged."),
    (
        "Local",
        "a model per hospital, trained on its own cases alone for as many steps as the hospital makes in the "
        "federation. Each is judged on all hospitals' test cases; the arm's score is the mean over these models.",
    ),
    (
        "Pooled",
        "one model trained on all cases in one place, with the same examples in the same number of sequential "
        "steps: what could be had if the data could be brought together.",
    ),
)
_DEFINITIONS = (
    (
        "Dice",
        "overlap of marked and true voxels of a case, 2|P∩R| / (|P|+|R|): 1 when both are empty, 0 when one is. "
        "The score is the mean over test cases.",
    ),
    (
        "Lesion sensitivity",
        "lesions found over lesions there are, all test cases together: a case with many lesions counts more.",
    ),
    ("Lesion precision", "marked components that touch a lesion over all marked components."),
    ("False positives per scan", "marked components that touch no lesion, per test case."),
    ("Intervals", f"{BOOTSTRAP}; all exams and lesions of a patient stay together. A comparison of two arms is "
     "paired: both are evaluated on the same draw of patients. Nothing is corrected for several comparisons."),
    ("A dash", "there was no case, no lesion or no prediction to form the number from."),
)  # fmt: skip


_SIZE = (
    "Small lesions are the ones most easily missed, so finding them is judged apart. "
    "Bars are 95&nbsp;% intervals; the local arm is the mean over the hospitals' own models."
)
_HOSPITALS = "A mean can hide a hospital that loses by taking part; here is each one on its own test cases."
_CROSS = (
    "Dice of the model trained at the hospital of the row, on the test cases of the hospital of the column; "
    "below, the shared models on the same cases."
)
_VOLUMES = (
    "All reference lesions of each site's cases. The number of lesions stands on the right, the median is the "
    "upright bar; heights are scaled site by site."
)
_CURVES = (
    "As the sites reported them: mean loss over a round's steps, and Dice on validation cases of the model that "
    "the round began with."
)


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report, durably.

    The page holds no script and refers to nothing outside itself; every text from outside is escaped.

    Raises:
        StorageError: the disk is full.
    """
    write_durably(path, render_report(content).encode())


def render_report(content: ReportContent) -> str:
    """The whole page as text."""
    result = content.result
    notes = result.get("notes", ())
    parts = [
        _header(content),
        render_verdict(result),
        f'<aside class="notes"><h2>Read this first</h2>{bullets(map(escape, notes))}</aside>' if notes else "",
        section("What this means", render_meaning(result, content.federated_scores), "meaning"),
        section("The arms side by side", render_arms(result), "arms"),
        section("Lesion size decides", _told(_SIZE, render_bands(result)), "size"),
        section("Finding more, marking more in vain", render_froc(result), "froc"),
        section("Hospital by hospital", _told(_HOSPITALS, render_hospitals(result)), "hospitals"),
        section("Which patients it serves", render_subgroups(result), "subgroups"),
        section("Would another hospital's model do?", _told(_CROSS, render_cross_site(result)), "cross-site"),
        _examples(content),
        section(
            "How unlike the hospitals' lesions are",
            _told(_VOLUMES, render_volumes(content.lesion_volumes_mm3)),
            "volumes",
        ),
        section("Round by round", _told(_CURVES, render_curves(result)), "curves"),
        section("Who took part", render_participation(result), "participation"),
        section("Cases put aside", render_quarantine(result), "quarantine"),
        section("Where the time went", render_seconds(result), "seconds"),
        section("Definitions", _definitions(content), "definitions"),
        section("Configuration", f"<pre>{escape(content.config_text)}</pre>", "configuration"),
    ]
    return page(f"{content.name}: report", "".join(parts))


def page(title: str, body: str) -> str:
    """A complete page around a body of ready HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>{body}"
        f"<footer>fedmets. {DISCLAIMER} No number on this page tells how to care for a patient.</footer>"
        "</body></html>\n"
    )


def _header(content: ReportContent) -> str:
    result = content.result
    facts = [
        counted(len(sites_of(result)), "site"),
        counted(len(result.get("rounds", [])), "round"),
        f"seed {result.get('seed')}",
    ]
    model = result.get("model")
    if model:
        millions = f"{model['parameters'] / 1e6:.2f} million parameters"
        facts += [millions, f"model sha256 {str(model['sha256'])[:12]}…"]
    cohort = f"{escape(content.cohort)}. " if content.cohort else ""
    return (
        f"<header><h1>{escape(content.name)}: report of a federated training run</h1>"
        f"<p>{escape(' · '.join(facts))}</p>"
        f'<p>{cohort}<span class="device">{DISCLAIMER}</span></p></header>'
    )


def _examples(content: ReportContent) -> str:
    pictures = render_slices(content.slices)
    return section("Best, median and worst test case", outline_key() + pictures, "slices") if pictures else ""


def _told(words: str, body: str) -> str:
    """Words before a section's body; nothing when there is no body."""
    return f'<p class="lead">{words}</p>{body}' if body else ""


def _definitions(content: ReportContent) -> str:
    rule = str(content.result.get("matching_rule", MATCHING_RULE))
    name, _, meaning = rule.partition(": ")
    terms = [*_ARM_WORDS, (f"Matching rule “{name}”", f"{meaning}."), *_DEFINITIONS]
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(said)}</dd>' for term, said in terms)}</dl>"
