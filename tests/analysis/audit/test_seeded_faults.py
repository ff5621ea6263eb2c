"""Known faults are found, and clean datasets raise no alarm: on made datasets, prepared by the real pipeline."""

from collections import Counter
from pathlib import Path

import pytest

from tdbs.analysis.audit.audit import Audit, audit
from tests.analysis.audit.faults import FAULTS, faulty
from tests.analysis.audit.made import clean, prepared, write_tokenizer

MADE = 1000  # datasets with a fault, and as many clean ones
LEAST_FOUND = 0.99
MOST_FALSE = 0.01


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("made") / "tokenizer")


def warned(found: Audit) -> set[str]:
    return {each.kind for each in found.findings if each.severity == "warning"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, tokenizer: Path, tmp_path: Path):
    """Each kind of fault gives a warning of its kind."""
    assert fault in warned(audit(prepared(faulty(fault, 5), tmp_path / "data", tokenizer)))


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_dataset_raises_no_alarm(seed: int, tokenizer: Path, tmp_path: Path):
    """Nothing is found where nothing is wrong."""
    assert warned(audit(prepared(clean(seed), tmp_path / "data", tokenizer))) == set()


@pytest.mark.slow
def test_of_a_thousand_faults_990_are_found_and_clean_ones_raise_ten_alarms_at_most(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The figures of docs/audit.md: faults found by kind, and alarms on as many clean datasets."""
    kinds = list(FAULTS)
    missed: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    false = 0
    for seed in range(MADE):
        fault = kinds[seed % len(kinds)]
        found = warned(audit(prepared(faulty(fault, seed), tmp_path / f"fault-{seed}", tokenizer)))
        missed[fault] += fault not in found
        raised = warned(audit(prepared(clean(MADE + seed), tmp_path / f"clean-{seed}", tokenizer)))
        alarms.update(raised)
        false += bool(raised)
    found_count = MADE - missed.total()
    with capsys.disabled():
        print(f"\n{found_count} of {MADE} faults of {len(kinds)} kinds found; missed: {dict(+missed)}")
        print(f"{false} of {MADE} clean datasets raise an alarm: {dict(alarms)}")
    assert found_count >= LEAST_FOUND * MADE
    assert false <= MOST_FALSE * MADE
