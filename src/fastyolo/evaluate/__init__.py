"""How good is a model: COCO AP on annotated pictures, and what costs how much of it."""

from fastyolo.evaluate.run import Evaluation, Settings, evaluate, evaluate_detectors, write_results

__all__ = ["Evaluation", "Settings", "evaluate", "evaluate_detectors", "write_results"]
