"""The tables of a model card: scores beside the baselines', by size of lesion, and by group of patients."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.markdown import NONE, number, plain, section, table, with_range
from common.metrics.scores import VOLUME_BANDS
from common.metrics.sizes import DIAMETER_BANDS
from common.statistics.suppression import FEWEST_PATIENTS

ARMS: Mapping[str, str] = {
    "federated": "this model",
    "pooled": "trained on all data in one place",
    "local": "trained at one site, mean over sites",
}
MEASURES: Mapping[str, tuple[str, int]] = {
    "dice": ("Dice", 3),
    "lesion_sensitivity": ("lesion sensitivity", 3),
    "lesion_precision": ("lesion precision", 3),
    "fp_per_scan": ("false positives per scan", 2),
    "lesionwise_dice": ("lesion-wise Dice", 3),
    "lesionwise_hd95": ("lesion-wise HD95 in mm", 1),
}
BANDS: Mapping[str, str] = {
    "under_27": "under 27 mm³",
    "27_to_275": "27 to 275 mm³",
    "over_275": "over 275 mm³",
    "under_3": "under 3 mm",
    "3_to_6": "3 to 6 mm",
    "6_to_10": "6 to 10 mm",
    "over_10": "over 10 mm",
}
FIELDS: Mapping[str, str] = {
    "site": "site",
    "sex": "sex",
    "age": "age in years",
    "primary_cancer": "primary cancer",
    "field_strength": "field strength",
    "lesion_burden": "lesions in the exam",
}
_TOO_FEW = f"Fewer than {FEWEST_PATIENTS} test patients: scores of so few are not shown."


def scores_section(arms: Mapping[str, Mapping[str, Any]], comparisons: Mapping[str, Any]) -> str:
    """Scores of the model, and of the baselines that were trained beside it."""
    if not arms:
        return section("Scores", _TOO_FEW)
    named = [arm for arm in ARMS if arm in arms]
    rows = [
        [name, *(_score(arms[arm], measure, digits) for arm in named)]
        for measure, (name, digits) in MEASURES.items()
        if any(measure in arms[arm] for arm in named)
    ]
    units = arms["federated"]["intervals"]["dice"]["units"]
    lesions = arms["federated"].get("lesions")
    told = f" with {lesions} lesions" if lesions is not None else ""
    return section(
        "Scores",
        table(
            (f"{arms['federated']['cases']} exams of {units} patients{told}", *(ARMS[arm] for arm in named)), rows
        ),
        "" if lesions is not None else "Too few patients have a lesion: what counts lesions is not shown.",
        _compared(comparisons),
    )


def sizes_section(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Lesions found by volume and by the diameter of the ball of that volume."""
    if not arms:
        return ""
    named = [arm for arm in ARMS if arm in arms]
    of_volume = [_size_row(band, [_volume(arms[arm], band) for arm in named]) for band in VOLUME_BANDS]
    diameters = [arms[arm]["sensitivity_by_diameter"] for arm in named]
    of_diameter = [
        _size_row(band, [None if one is None else one[band] for one in diameters]) for band in DIAMETER_BANDS
    ]
    return section(
        "Sensitivity by size of lesion",
        table(("volume", "lesions", *(ARMS[arm] for arm in named)), of_volume),
        table(("diameter of the ball of that volume", "lesions", *(ARMS[arm] for arm in named)), of_diameter)
        if diameters[0] is not None
        else "By diameter nothing is shown: together with the volumes it would show classes of too few patients.",
        f"{NONE} is a class without lesions, or one that fewer than {FEWEST_PATIENTS} patients have lesions in, "
        "or from which such a one would follow.",
    )


def thresholds_section(arms: Mapping[str, Mapping[str, Any]]) -> str:
    """Sensitivity at set false positives per scan, and voxel AUC; nothing where no curve may be shown."""
    named = [arm for arm in ARMS if arms.get(arm, {}).get("froc")]
    if not named:
        return ""
    curves = [arms[arm]["froc"] for arm in named]
    rows = [
        [f"sensitivity at {limit} per scan", *(_ranged(curve["sensitivity_at"][limit], 3) for curve in curves)]
        for limit in curves[0]["sensitivity_at"]
    ]
    rows.append(["voxel AUC, mean over exams", *(_ranged(curve["voxel_auc"], 4) for curve in curves)])
    return section(
        "Sensitivity at set false positives (FROC)",
        table(("false positives per scan", *(ARMS[arm] for arm in named)), rows),
        "From the highest of a ladder of thresholds down, the best sensitivity before there are more false "
        "positives per scan than that, 0 where the highest has more already; the threshold was found on these "
        "very patients, which flatters a little. "
        "Voxel AUC counts all voxels of an exam, background included, and lies near 1 even for a poor model.",
    )


def groups_section(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Scores of the model by group of test patients; suppressed groups are not named."""
    rows = [
        [
            f"{FIELDS.get(field, plain(field))}: {plain(row['group'])}",
            f"{row['patients']} ({row['cases']})",
            _ranged(row["dice"], 3),
            _ranged(row["lesion_sensitivity"], 3),
            _ranged(row["fp_per_scan"], 2),
            number(row["p_holm"]),
        ]
        for field, shown in groups.items()
        for row in shown
    ]
    if not rows:
        return section("Groups of test patients", "Every group is suppressed: too few patients.")
    return section(
        "Groups of test patients",
        table(("", "patients (exams)", "Dice", "lesion sensitivity", "false positives per scan", "p"), rows),
        f"Groups of fewer than {FEWEST_PATIENTS} patients are left out, and so is what would give them away. p is "
        "of a Mann-Whitney test of patients' Dice, the group against all others, after Holm for all tests of the "
        "table. No difference seen in so few patients is not no difference.",
    )


def _score(arm: Mapping[str, Any], measure: str, digits: int) -> str:
    if measure in arm["intervals"]:
        return _ranged(arm["intervals"][measure], digits)
    return number(arm.get(measure), digits)


def _volume(arm: Mapping[str, Any], band: str) -> Mapping[str, Any] | None:
    """A volume band in the form of a diameter's: its share, lesions and interval."""
    values = arm["sensitivity_by_volume"][band]
    if values is None:
        return None
    interval = arm["intervals"].get(f"sensitivity_{band}", {})
    return {**values, "low": interval.get("low"), "high": interval.get("high")}


def _size_row(band: str, values: Sequence[Mapping[str, Any] | None]) -> list[str]:
    first = values[0]
    if first is None:
        return [BANDS[band], *[NONE] * (len(values) + 1)]
    cells = [NONE if one is None else with_range(one["value"], one["low"], one["high"]) for one in values]
    return [BANDS[band], str(first["lesions"]), *cells]


def _compared(comparisons: Mapping[str, Any]) -> str:
    told = [
        f"{words} {with_range(found['estimate'], found['low'], found['high'])}"
        for name, words in (
            ("federated_over_pooled", "over that of pooled training"),
            ("federated_minus_local", "less that of a site's own model"),
        )
        if (found := comparisons.get(name, {}).get("dice")) and found["estimate"] is not None
    ]
    return f"Dice of this model {'; '.join(told)}; paired over the same patients." if told else ""


def _ranged(interval: Mapping[str, Any] | None, digits: int) -> str:
    if interval is None:
        return NONE
    return with_range(interval["estimate"], interval["low"], interval["high"], digits)
