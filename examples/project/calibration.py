"""How models and targets of this project declare themselves."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Target:
    """How far an output of a model is from what was observed: the mean squared distance."""

    model_output: str
    observed: list[float]

    def distance(self, outputs: dict[str, list[float]]) -> float:
        pairs = zip(outputs[self.model_output], self.observed, strict=True)
        return sum((computed - seen) ** 2 for computed, seen in pairs) / len(self.observed)


def calibration_target(model_output: str, data: dict[str, str]):
    """Declares that a function makes a target of an output and of data."""

    def declare(function):
        def make() -> Target:
            return function({name: Path(path) for name, path in data.items()})

        make.model_output = model_output
        return make

    return declare


def column(path: Path, name: str) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file)]
