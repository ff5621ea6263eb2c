"""Finished runs that several comparisons share: the same strategy, terms, seed and dataset is trained once.

Tables 4 and 5 of the paper have rows in common. A run is found again by a hash over all that decides it; a comparison
gets a copy (a run without its model is some hundred kilobytes). It was measured when it was made: before the prediction
that stands beside it, and perhaps under another load than its neighbours.
"""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from tdbs.analysis.comparison import FORM, Row, Terms
from tdbs.files import copy_files, make_folder, sha256_of, write_json
from tdbs.records import read_record
from tdbs.train.strategies import Strategy

_ROW_NAME = "row.json"
_NOT_OF_A_RUN = ("seeds", "part_steps", "dropout")  # terms of a comparison; a run has its own dropout
_PACKAGES = ("tdbs", "torch", "transformers")


def run_key(dataset_key: str, strategy: Strategy, terms: Terms, *, seed: int, dropout: float, device: str) -> str:
    """Return the hash over all that decides a run; a strategy's name is none of it, nor who chose the dropout."""
    decides = {
        "dataset": dataset_key,
        "strategy": {name: value for name, value in asdict(strategy).items() if name not in ("name", "dropout")},
        "terms": {
            name: value
            for name, value in asdict(terms).items()
            if name not in _NOT_OF_A_RUN and not (name == "energy" and value is None)  # keys of before there was energy
        },
        "dropout": dropout,
        "seed": seed,
        "device": device,
        "versions": {package: version(package) for package in _PACKAGES},
    }
    return sha256_of(json.dumps(decides, sort_keys=True).encode())[:16]


def take_run(pool: Path, key: str, folder: Path) -> Row | None:
    """Copy a run of the pool to a comparison's folder and return its row as it was; None where there is none."""
    place = pool / key
    if not (place / _ROW_NAME).exists():
        return None
    row = read_record(place / _ROW_NAME, Row, FORM)
    copy_files(place, folder, leave_out=_ROW_NAME)
    return row


def keep_run(pool: Path, key: str, folder: Path, row: Row) -> None:
    """Copy a finished run to the pool; its row is written last, which makes it one that can be taken."""
    make_folder(pool)
    copy_files(folder, pool / key, leave_out=_ROW_NAME)
    write_json(pool / key / _ROW_NAME, asdict(row))
