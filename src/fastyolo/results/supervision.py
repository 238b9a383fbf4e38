"""Detections for the supervision package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastyolo.errors import FastYoloError

if TYPE_CHECKING:
    from fastyolo.detections import Detections


def to_supervision(detections: Detections) -> Any:
    """See `Detections.to_supervision`.

    Raises:
        FastYoloError: the supervision package is not installed.
    """
    import numpy as np

    try:
        import supervision
    except ImportError:
        raise FastYoloError("to_supervision() needs the supervision package: pip install supervision") from None
    return supervision.Detections(
        xyxy=detections.xyxy.copy(),
        confidence=detections.confidence.copy(),
        class_id=detections.class_id.astype(int),
        data={"class_name": np.array([detection.name for detection in detections], dtype=np.str_)},
    )
