"""How good is a model: COCO AP on annotated pictures, and what costs how much of it."""

from fastyolo.evaluate.evaluation import Evaluation, Settings, write_results
from fastyolo.evaluate.run import evaluate, evaluate_detectors
from fastyolo.evaluate.scored_file import evaluate_results

__all__ = ["Evaluation", "Settings", "evaluate", "evaluate_detectors", "evaluate_results", "write_results"]
