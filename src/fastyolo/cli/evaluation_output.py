"""What is to come of an evaluation: numbers on stdout, files and pictures."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastyolo.cli.console import Saved, say
from fastyolo.errors import FastYoloError

if TYPE_CHECKING:
    from fastyolo.evaluate import Evaluation
    from fastyolo.evaluate.worst import Worst


class Format(str, Enum):
    table = "table"
    json = "json"


class Wanted(NamedTuple):
    """What the options ask for."""

    output_format: Format
    results: Path | None
    plots: Path | None
    worst: int | None
    output: Path

    def check(self) -> None:
        """Whatever would spoil the end of a long run, before its beginning."""
        if self.plots is not None:
            from fastyolo.evaluate.charts import require_matplotlib

            require_matplotlib()
            _make_folder(self.plots)
        if self.worst is not None:
            _make_folder(self.output)
        if self.results is not None and not self.results.parent.is_dir():
            raise FastYoloError(f"cannot write {self.results}: the folder {self.results.parent} does not exist")

    def show(self, evaluation: Evaluation) -> None:
        """Print the numbers, then save the rest."""
        from fastyolo.cli.evaluation_text import evaluation_text
        from fastyolo.evaluate import write_results
        from fastyolo.evaluate.charts import draw_charts
        from fastyolo.evaluate.worst import worst

        ranked = [] if self.worst is None else worst(evaluation, self.worst)
        if self.output_format is Format.json:
            record = evaluation.to_dict()
            if self.worst is not None:
                record["worst"] = [
                    {"image": one.picture.name, "false_negatives": one.misses, "false_positives": one.false_alarms}
                    for one in ranked
                ]
            print(json.dumps(record, indent=2))
        else:
            print(evaluation_text(evaluation, ranked))
        if self.results is not None:
            write_results(evaluation, self.results)
            say(f"saved {self.results}")
        if self.plots is not None:
            paths = draw_charts(evaluation.scores, self.plots)
            say(f"saved {', '.join(map(str, paths))}")
        if self.worst is not None:
            _save(evaluation, ranked, self.output)


def _save(evaluation: Evaluation, ranked: list[Worst], folder: Path) -> None:
    from fastyolo.evaluate.worst import save_worst

    if not ranked:
        say("no picture has a miss or a false alarm")
    saved = Saved()
    for path in save_worst(evaluation, ranked, folder):
        saved.add(str(path))
    saved.tell()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FastYoloError(f"cannot make the folder {folder}: {error.strerror}") from None
