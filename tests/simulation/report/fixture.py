"""FIXTURE: a report's content with made-up numbers. No network was trained; nothing here is a result."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from common.metrics.scores import CaseScores, LesionScore
from simulation.arms import compare_arms, describe_arm, describe_local
from simulation.report.content import ReportContent, SliceExample
from simulation.report.slices import choose_cases, cut_slice

SITES = ("north", "south", "east-hospital", "west")
_SKILL = {"federated": 0.66, "pooled": 0.68, "local": 0.5}


def made_up_scores(arm: str, seed: int, skill: float | None = None, patients: int = 7) -> tuple[CaseScores, ...]:
    """Scores of one imaginary model: patients and lesions follow from the seed, answers from the arm too."""
    cohort, answers = np.random.default_rng(seed), np.random.default_rng([seed, len(arm), int(100 * (skill or 0))])
    level = _SKILL[arm] if skill is None else skill
    scores = []
    for place, site in enumerate(SITES):
        for patient in range(patients):
            volumes = cohort.lognormal(4.2 + 0.4 * place, 1.5, int(cohort.integers(1, 9)))
            hard = cohort.normal(0, 0.12)
            found = [bool(answers.random() < min(0.98, level * (0.45 + 0.12 * np.log(v)))) for v in volumes]
            false = int(answers.poisson(1.2))
            lesions = tuple(LesionScore(float(v), hit) for v, hit in zip(volumes, found, strict=True))
            dice = float(np.clip(level + hard + answers.normal(0, 0.03), 0.02, 0.95))
            name = f"1{place}{patient:02d}"
            scores.append(CaseScores(name, f"{name}A", site, dice, lesions, sum(found) + false, false))
    return tuple(scores)


def made_up_rounds(rounds: int, sites: tuple[str, ...] = SITES) -> list[dict[str, Any]]:
    """Falling losses, one late, one failed and one refused update."""
    odd = {
        (3, sites[1]): ("late", None),
        (7, sites[0]): ("failed", "out-of-memory"),
        (8, sites[-1]): ("refused", "stale-round"),
    }
    rng, rows = np.random.default_rng(5), []
    for one in range(1, rounds + 1):
        row: dict[str, Any] = {
            "round": one,
            "seconds": 4.0,
            "advanced": True,
            "model_sha256": "ab" * 32,
            "sites": [],
        }
        for place, site in enumerate(sites):
            outcome, code = odd.get((one, site), ("accepted", None))
            there = outcome == "accepted"
            row["sites"].append(
                {
                    "site": site,
                    "outcome": outcome,
                    "code": code,
                    "cases": 12 if there else 0,
                    "steps": 15 if there else 0,
                    "seconds": 3.5 if there else 0.0,
                    "bytes_up": 1_400_000 if there else 0,
                    "loss": 0.35 + 0.9 * np.exp(-one / 6) + 0.05 * place + rng.normal(0, 0.02) if there else None,
                    "incoming_dice": 0.7 * (1 - np.exp(-(one - 1) / 5)) - 0.04 * place if there else None,
                }
            )
        rows.append(row)
    return rows


def made_up_result(seed: int = 1, rounds: int = 20) -> dict[str, Any]:
    """A result.json in which every number is invented."""
    federated, pooled = made_up_scores("federated", seed), made_up_scores("pooled", seed)
    local = {site: made_up_scores("local", seed, 0.45 + 0.03 * place) for place, site in enumerate(SITES)}
    return {
        "schema": 1,
        "status": "partial",
        "name": "fixture",
        "seed": seed,
        "rounds": made_up_rounds(rounds),
        "model": {"path": "model", "sha256": "cd" * 32, "parameters": 351_234},
        "arms": {
            "federated": describe_arm(federated, SITES, seed),
            "local": describe_local(local, SITES, seed),
            "pooled": describe_arm(pooled, SITES, seed),
        },
        "comparisons": {
            "federated_over_pooled": compare_arms([federated], [pooled], "ratio", seed),
            "federated_minus_pooled": compare_arms([federated], [pooled], "difference", seed),
            "federated_minus_local": compare_arms([federated], list(local.values()), "difference", seed),
        },
        "quarantine": {"north": {"truncated-file": 1}, "south": {"illegal-label": 2, "not-3d": 1}},
        "cases": {site: {"training": 20 - 3 * i, "validation": 3, "test": 7} for i, site in enumerate(SITES)},
        "left_out": 2,
        "notes": ["FIXTURE: every number on this page is made up."],
        "seconds": {
            "prepare": 31.0,
            "train": 180.0,
            "evaluate": 60.0,
            "aggregate": 2.0,
            "other": 7.0,
            "total": 280.0,
        },
    }


def made_up_volume(seed: int) -> Mapping[str, npt.NDArray[np.generic]]:
    """An ellipsoid with noise as a brain, two bright balls as lesions, and a shifted answer."""
    rng, shape = np.random.default_rng(seed), (80, 96, 70)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    brain = (x / 0.85) ** 2 + (y / 0.92) ** 2 + (z / 0.8) ** 2 < 1
    lesion = ((x - 0.35) ** 2 + (y - 0.2) ** 2 + z**2 < 0.012) | (
        (x + 0.4) ** 2 + (y + 0.5) ** 2 + (z - 0.05) ** 2 < 0.003
    )
    answer = np.roll(lesion, (1, -1, 0), (0, 1, 2)) & (x > 0)
    answer[30:33, 70:72, 34:37] = True
    t1c = brain * (rng.normal(0, 0.2, shape) + 0.4 * np.cos(9 * x) * np.cos(7 * y) + 2.5 * lesion)
    oedema = (x - 0.35) ** 2 + (y - 0.2) ** 2 + z**2 < 0.05
    flair = brain * (rng.normal(0, 0.2, shape) - 0.3 * np.cos(8 * y) + 1.6 * oedema)
    return {"t1c": t1c, "flair": flair, "reference": lesion, "prediction": answer, "brain": brain}


def made_up_slices(scores: tuple[CaseScores, ...]) -> tuple[SliceExample, ...]:
    examples = []
    for place, (title, score, focus) in enumerate(choose_cases(scores)):
        volume = made_up_volume(place)
        images = {name: volume[name] for name in ("t1c", "flair")}
        spacing = (2.0, 2.0, 2.0)
        examples.append(
            cut_slice(
                title, score, images, volume["reference"], volume["prediction"], spacing, focus, volume["brain"]
            )
        )
    return tuple(examples)


def made_up_content(rounds: int = 20) -> ReportContent:
    """Everything a page can show, all of it invented."""
    federated = made_up_scores("federated", 1)
    rng = np.random.default_rng(9)
    volumes = {site: tuple(rng.lognormal(4.0 + 0.5 * i, 1.6, 150 - 30 * i)) for i, site in enumerate(SITES)}
    return ReportContent(
        name="fixture",
        result=made_up_result(rounds=rounds),
        config_text='name = "fixture"\nseed = 1\nsequences = ["t1c", "flair"]\n\n[federation]\nrounds = 20\n',
        federated_scores=federated,
        lesion_volumes_mm3=volumes,
        slices=made_up_slices(federated),
        cohort="FIXTURE, made-up numbers",
    )
