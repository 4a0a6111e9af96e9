from pathlib import Path

import nibabel
import numpy as np
import pytest

from client.data.case import Case, LabelRule
from simulation.partition.build import Partition
from simulation.partition.lesions import read_lesion_volumes_mm3
from simulation.partition.picture import draw_partition
from simulation.partition.unlikeness import unlikeness
from tests.simulation.partition.cohort import exam, patients


def three_sites() -> tuple[Partition, dict[str, tuple[float, ...]]]:
    cases = patients(6)
    volumes = {"100A": (10.0, 20.0), "101A": (40.0,), "102A": (10.0, 20.0), "103A": (40.0,), "104A": (1000.0,) * 4}
    sites = {"a": tuple(cases[:2]), "b": tuple(cases[2:4]), "c": tuple(cases[4:])}
    return Partition(sites, left_out=2), volumes


def test_farthest_sites() -> None:
    found = unlikeness(*three_sites())
    assert found.volume_ks is not None and found.volume_emd_log10 is not None and found.count_ks is not None
    assert found.volume_ks.value == 1.0
    assert "c" in found.volume_ks.sites
    assert found.volume_emd_log10.value == pytest.approx(3 - np.log10([10, 20, 40]).mean())
    assert found.count_ks.value == 1.0
    assert [(s.exams, s.lesions, s.lesions_per_exam) for s in found.sizes] == [
        (2, 3, 1.5),
        (2, 3, 1.5),
        (2, 4, 4.0),
    ]
    assert found.to_dict()["volume_ks"]["value"] == 1.0


def test_alike_and_lonely_sites() -> None:
    partition, volumes = three_sites()
    alike = unlikeness(Partition({site: partition.sites[site] for site in "ab"}, 0), volumes)
    assert alike.volume_ks is not None
    assert alike.volume_ks.value == 0.0
    alone = unlikeness(Partition({"a": partition.sites["a"], "b": (exam("900"),)}, 0), volumes)
    assert alone.volume_ks is None
    assert alone.sizes[1].median_volume_mm3 is None


def test_picture_is_a_png(tmp_path: Path) -> None:
    partition, volumes = three_sites()
    known = {
        site: tuple(
            exam(case.patient, sex="FM"[i % 2], field_strength_t=[1.5, 3.0][i % 2]) for i, case in enumerate(own)
        )
        for site, own in partition.sites.items()
    }
    for name, sites in (("plain", partition.sites), ("metadata", known)):
        file = tmp_path / f"{name}.png"
        draw_partition(file, Partition(sites, 0), volumes)
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.stat().st_size < 300_000


def test_volumes_from_label_files(tmp_path: Path) -> None:
    label = np.zeros((10, 10, 10), np.uint8)
    label[1:3, 1:3, 1:3] = 3
    label[6, 6, 6:9] = 1
    label[8, 1, 1] = 2
    nibabel.save(nibabel.Nifti1Image(label, np.diag([2.0, 1.0, 1.5, 1.0])), tmp_path / "seg.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b")
    for name, place, value in (("odd", 70, 9999), ("huge", 42, 30_000)):  # the header's type, its first length
        content = bytearray(nibabel.Nifti1Image(label, np.eye(4)).to_bytes())
        content[place : place + 2] = value.to_bytes(2, "little")
        (tmp_path / f"{name}.nii").write_bytes(content)
    cases = [
        Case("p", "good", {}, label=tmp_path / "seg.nii.gz"),
        Case("p", "broken", {}, label=tmp_path / "broken.nii.gz"),
        Case("p", "odd", {}, label=tmp_path / "odd.nii"),
        Case("p", "huge", {}, label=tmp_path / "huge.nii"),
        Case("p", "none", {}),
    ]
    volumes = read_lesion_volumes_mm3(cases, LabelRule({1: 1, 3: 1}, frozenset({2})))
    assert set(volumes) == {"good"}
    assert sorted(volumes["good"]) == pytest.approx([9.0, 24.0])
