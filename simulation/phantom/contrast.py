"""Signal of each sequence from tissue, vessels and lesions; 1 is about the brightest normal tissue."""

from dataclasses import dataclass

import numpy as np

from simulation.phantom.anatomy import Anatomy
from simulation.phantom.fields import FloatArray, Lattice, sigmoid
from simulation.phantom.lesion_render import LesionField
from simulation.phantom.tissue import Tissue

TEXTURE = Lattice(step_mm=4.5)
SPOTS = Lattice(step_mm=8.0)
# White matter, grey matter, CSF.
T1_TISSUE = (0.80, 0.62, 0.22)
FLAIR_TISSUE = (0.54, 0.66, 0.10)
T2_TISSUE = (0.42, 0.58, 1.00)
VESSEL_T1C = 1.35


@dataclass(frozen=True, slots=True)
class Scene:
    """What lies in the head of one exam, at the n brain voxels.

    Attributes:
        tissue: fractions.
        vessels: (n,) share that vessels and dura brighten after contrast agent.
        lesions: shares of rim, core, oedema.
        hyperintensity: (n,) white-matter disease, bright on FLAIR and unrelated to the lesions.
        texture: (n,) unit-variance variation of tissue.
    """

    tissue: Tissue
    vessels: FloatArray
    lesions: LesionField
    hyperintensity: FloatArray
    texture: FloatArray


def draw_hyperintensity(anatomy: Anatomy, tissue: Tissue, rng: np.random.Generator) -> FloatArray:
    """Caps around the ventricles and spots in deep white matter, in a degree that is the patient's own."""
    severity = float(rng.beta(1.2, 2.5))
    axes = _head_axes(tissue)
    field = SPOTS.sample(SPOTS.noise(rng), axes).reshape(-1)[tissue.index]
    spots = sigmoid((field - np.float32(0.78 - 0.20 * severity)) / 0.05)
    caps = severity * np.exp(np.minimum(tissue.ventricle_mm, 0.0) / 2.5)
    deep = sigmoid((tissue.depth_mm - 9.0) / 2.0) * (1.0 - tissue.cerebellum)
    return np.asarray(np.maximum(spots * deep, caps) * tissue.white, dtype=np.float32)


def draw_texture(tissue: Tissue, rng: np.random.Generator) -> FloatArray:
    """Smooth variation of tissue with features of about 12 mm."""
    field = TEXTURE.sample(TEXTURE.noise(rng), _head_axes(tissue)).reshape(-1)[tissue.index]
    return np.asarray(field / (field.std() + 1e-6), dtype=np.float32)


def _head_axes(tissue: Tissue) -> tuple[FloatArray, FloatArray, FloatArray]:
    scale = np.float32(tissue.head_scale)
    x, y, z = tissue.grid.fine_axes_mm()
    return (x / scale, y / scale, z / scale)


def t1_signal(scene: Scene, field_strength_t: float, *, black_blood: bool) -> FloatArray:
    """Before contrast agent; inflow brightens vessels on gradient echo and darkens them in black blood."""
    signal = _base(scene, _at_field(T1_TISSUE, field_strength_t), 0.025)
    lesions = scene.lesions
    signal = signal * (1.0 - 0.16 * lesions.oedema)
    signal = _mix(signal, scene.vessels, 0.35 if black_blood else 0.68)
    return _over(signal, lesions, 0.58 * lesions.rim, 0.42)


def t1c_signal(scene: Scene, field_strength_t: float) -> FloatArray:
    """After contrast agent; enhancement is 12 % lower at 1.5 T than at 3 T."""
    signal = _base(scene, _at_field(T1_TISSUE, field_strength_t), 0.03)
    lesions = scene.lesions
    vessel = VESSEL_T1C * (0.76 + 0.08 * min(field_strength_t, 3.0))
    signal = signal * (1.0 + 0.04 * scene.tissue.grey) * (1.0 - 0.16 * lesions.oedema)
    signal = _mix(signal, scene.vessels, vessel)
    return _over(signal, lesions, vessel * lesions.brightness, 0.45)


def flair_signal(scene: Scene, field_strength_t: float) -> FloatArray:
    """Oedema and white-matter disease are bright, fluid and flowing blood dark."""
    signal = _base(scene, _at_field(FLAIR_TISSUE, field_strength_t), 0.03)
    signal = _mix(signal, 0.85 * scene.hyperintensity, 0.98)
    signal = _mix(signal, 0.9 * scene.lesions.oedema, 1.05)
    signal = _mix(signal, scene.vessels, 0.28)
    return _over(signal, scene.lesions, 0.80 * scene.lesions.rim, 0.55)


def t2_signal(scene: Scene, field_strength_t: float) -> FloatArray:
    """Fluid bright, oedema and necrosis less so, flowing blood dark."""
    signal = _base(scene, _at_field(T2_TISSUE, field_strength_t), 0.03)
    signal = _mix(signal, 0.6 * scene.hyperintensity, 0.80)
    signal = _mix(signal, 0.9 * scene.lesions.oedema, 0.84)
    signal = _mix(signal, scene.vessels, 0.20)
    return _over(signal, scene.lesions, 0.62 * scene.lesions.rim, 0.85)


def _base(scene: Scene, levels: tuple[float, float, float], texture: float) -> FloatArray:
    white, grey, csf = (np.float32(level) for level in levels)
    tissue = scene.tissue
    plain = white * tissue.white + grey * tissue.grey + csf * tissue.csf
    return np.asarray(plain * (1.0 + np.float32(texture) * scene.texture), dtype=np.float32)


def _at_field(levels: tuple[float, float, float], field_strength_t: float) -> tuple[float, float, float]:
    """Grey-white contrast is 8 % lower at 1.5 T than at 3 T."""
    white, grey, csf = levels
    middle = (white + grey) / 2
    factor = 0.84 + 0.16 * min(field_strength_t, 3.0) / 3.0
    return (middle + factor * (white - middle), middle + factor * (grey - middle), csf)


def _mix(signal: FloatArray, share: FloatArray, level: float) -> FloatArray:
    return np.asarray(signal + share * (np.float32(level) - signal), dtype=np.float32)


def _over(signal: FloatArray, lesions: LesionField, rim_signal: FloatArray, core_level: float) -> FloatArray:
    """Lesions replace what they cover."""
    covered = np.minimum(lesions.rim + lesions.core, 1.0)
    return np.asarray(signal * (1.0 - covered) + rim_signal + core_level * lesions.core, dtype=np.float32)
