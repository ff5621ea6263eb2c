"""Plans of real train sets cost what was measured before: tokens and padding of every strategy, bert-base-uncased."""

import numpy as np
import pytest

from tdbs.pipeline.dataset import PreparedDataset, Split, read_split
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.planning.tokendrop import words_of_split

pytestmark = pytest.mark.real_data

TOKENIZER = "bert-base-uncased"
_SPLITS: dict[str, tuple[PreparedDataset, Split]] = {}


@pytest.fixture
def plans(prepared_real):
    """Return a function that plans one epoch of a task for several seeds, with the paper's caps."""

    def plan(task: str, name: str, *, epoch: int, seeds: int) -> list[EpochPlan]:
        if task not in _SPLITS:
            dataset = prepared_real(task, TOKENIZER)
            _SPLITS[task] = (dataset, read_split(dataset, "train"))
        dataset, split = _SPLITS[task]
        strategy = resolve_strategy(name, dataset.manifest.task, {"caps": "paper"}, allow_drop=True)
        words = words_of_split(split, strategy, dataset.manifest.tokenizer)
        return [
            plan_epoch(split.lengths_N, words, strategy, max_length=128, seed=seed, epoch=epoch)
            for seed in range(seeds)
        ]

    return plan


SLOW = [pytest.param(epoch, 5, marks=pytest.mark.slow) for epoch in range(3)]


@pytest.mark.parametrize(("epoch", "seeds"), [(0, 1), (1, 1), (2, 1), *SLOW])
def test_reach_on_sst2_needs_at_most_840_thousand_tokens(plans, epoch, seeds):
    """And at most 1 % of them is padding, in every epoch, for every seed: the paper's claim of 0.2 %, nearly."""
    for plan in plans("sst2", "reach", epoch=epoch, seeds=seeds):
        assert plan.tokens <= 840_000
        assert plan.padding_fraction <= 0.01


# Measured before: (task, epoch, strategy): tokens in thousands, padding in %.
TABLE = {
    ("sst2", 0): {"random": (3000, 70), "bucket": (899, 0.2), "tdbs_paper": (916, 12.2), "reach": (822, 0.1)},
    ("sst2", 2): {"random": (2990, 70), "bucket": (904, 0.8), "tdbs_paper": (952, 15.7), "reach": (824, 0.5)},
    ("mrpc", 2): {"random": (306, 36), "bucket": (200, 2.3), "tdbs_paper": (186, 2.2), "reach": (187, 0.4)},
    ("rte", 2): {"random": (319, 48), "bucket": (172, 3.6), "tdbs_paper": (157, 2.0), "reach": (158, 1.0)},
    ("cola", 2): {"random": (216, 55), "bucket": (101, 4.4), "tdbs_paper": (97, 17.8), "reach": (86, 1.6)},
    ("stsb", 2): {"random": (440, 64), "bucket": (167, 4.1), "tdbs_paper": (163, 10.9), "reach": (151, 2.2)},
}
# The notes' prototype took every token whose id is a stopword's for droppable, wherever it stands. Our rule looks at
# the text: neither the hyphens of "state-of-the-art" nor the "." of "3.5" go. On SST-2 that is 256 K droppable tokens
# instead of 275 K, and Algorithm 3 cannot bring batches down as far. By token ids alone our planner gives 11.9, 15.3,
# 2.2, -, 18.7, 11.1 in the order below, so the rule makes up to 1.4 points; CoLA's other 0.8 are not explained by it.
PAPER_PADDING = {
    ("sst2", 0): 13.2,
    ("sst2", 2): 16.7,
    ("mrpc", 2): 2.4,
    ("rte", 2): 1.9,
    ("cola", 2): 19.0,
    ("stsb", 2): 11.6,
}
# Means over seeds. Of the small sets many more are needed: there a few merged batches make all the padding of
# `reach`, and the shift of the grid decides how many (MRPC: 0.4 to 1.6 % over 40 seeds; three gave 1.1).
SEEDS = {"sst2": 3, "mrpc": 40, "rte": 40, "cola": 40, "stsb": 40}


@pytest.mark.parametrize("name", ["random", "bucket", "tdbs_paper", "reach"])
@pytest.mark.parametrize(("task", "epoch"), TABLE)
def test_tokens_and_padding_are_those_of_the_notes(plans, task, epoch, name):
    """Tokens within 3 %, padding within 0.5 points (where the notes give whole percents, half a point more)."""
    thousands, percent = TABLE[task, epoch][name]
    made = plans(task, name, epoch=epoch, seeds=SEEDS[task])
    assert np.mean([plan.tokens for plan in made]) == pytest.approx(1000 * thousands, rel=0.03)
    expected = PAPER_PADDING[task, epoch] if name == "tdbs_paper" else percent
    tolerance = 1.0 if isinstance(percent, int) else 0.5
    assert 100 * np.mean([plan.padding_fraction for plan in made]) == pytest.approx(expected, abs=tolerance)
    if name == "tdbs_paper":
        assert abs(expected - percent) <= 1.3  # the rule's difference stays what the comment says
