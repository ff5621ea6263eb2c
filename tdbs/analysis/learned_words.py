"""Learn the words that a trained model does without (`--stopwords learned:RUN`).

Some samples of the run's train split are predicted whole, then without one word: all its occurrences in a sample go.
What counts is how far this moves the probability of what the model predicts. If a text may have several classes, the
one that moves furthest counts. Words are ranked by the mean over the samples that contain them, the least first. The
first ones are taken, until they make up the same share of the samples' tokens as the paper's list does.

A prepared dataset has token ids, not texts, so the words are those of decoded tokens. The list does not know that words
leave together: it is a guess, and `tdbs evaluate --flips` measures what it does to predictions.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tdbs.analysis.conditions.times import spread_samples
from tdbs.arrays import BoolArray, FloatArray, IntArray, offsets_of, ragged_positions
from tdbs.errors import ConfigError, at_least
from tdbs.files import write_text
from tdbs.given import Place, checked, text_of
from tdbs.inference.batches import inference_strategy, model_outputs, planned
from tdbs.inference.blocks import text_rows
from tdbs.inference.checkpoints import Checkpoint, open_checkpoint
from tdbs.inference.encode import Encoded, encode_rows, without_tokens
from tdbs.inference.sample_outputs import logits_of_samples
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, Split, opened, read_split
from tdbs.pipeline.sample_texts import read_decoder
from tdbs.pipeline.words.matches import combining_marks, compile_words, fold
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tdbs.shown import shown
from tdbs.train.evaluate import check_same_data, own_dataset
from tdbs.train.feed import TRAIN
from tdbs.train.run_folder import LEARNED_WORDS_NAME, Run, read_run

# Shapes: S samples, S1 = S + 1, W words found in them (each occurrence), V pairs of a sample and a word, V1 = V + 1,
# D different words, C classes, T tokens.

PREDICTIONS = 20_000  # the most, of the samples that are looked at by default
LEAST_SAMPLES = 5  # that contain a word whose effect is believed
_KINDS = ("classification", "multi_label")
_PAIRS_AT_ONCE = 8_192

Progress = Callable[[int, int], None]  # predictions done, and all of them


@dataclass(frozen=True, kw_only=True, slots=True)
class WordEffect:
    """What a model's prediction loses with a word."""

    word: str
    samples: int  # that contain it
    change: float  # of the probability of the prediction, mean over these samples
    share: float  # of the samples' tokens
    in_paper: bool  # whether the paper's list has it


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedWords:
    """A list of droppable words that a run's model taught."""

    path: Path  # list, a word a line
    words: Sequence[WordEffect]  # words of the list, the least effect first
    ranked: int  # words that could have been taken
    samples: int
    predictions: int
    share: float  # of the samples' tokens that the list covers
    paper_share: float  # the paper's list

    def __repr__(self) -> str:
        covers = f"{self.share:.1%} of the tokens, the paper's list {self.paper_share:.1%}"
        return shown(f"<LearnedWords {self.path}: {len(self.words):,} of {self.ranked:,} words, {covers}>")


@checked
def learn_words(
    run: Place,
    *,
    samples: int | None = None,
    dataset: AnyDataset | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> LearnedWords:
    """Rank the words of a run's train samples by what its model loses with them, and write a list of the least.

    Args:
        run: Folder of a run whose model predicts classes of whole samples.
        samples: Train samples to look at, spread evenly from short to long. None: as many as have 20,000
            tokens, so at most that number of predictions is made, one per sample and frequent word.
        dataset: The dataset that the run was trained on, if it is elsewhere now. None: the place that the run names.
        overwrite: Replace a list of other words, such as one that was edited since.
        progress: Called with the predictions done, and how many there are.

    Returns:
        The list, in the run's folder as `learned_words.txt`; `prepare` takes its path as `stopwords`.

    Raises:
        ConfigError: The task predicts no classes of whole samples, no word is frequent enough, the run has a list of
            other words, or it names its dataset by a URL and none is given.
        DatasetError: The dataset is missing, damaged, or is not the run's.
        ModelError: The model cannot be loaded.
        TrainingError: The run is missing or did not finish.
    """
    if samples is not None:
        at_least("samples", samples, 1)
    read = read_run(Path(text_of(run)))
    source = _own_dataset(read) if dataset is None else opened(dataset)
    check_same_data(read, source)
    kind = source.manifest.task.kind
    if kind not in _KINDS:
        raise ConfigError(
            f"Words are learned from a task that predicts classes of whole samples; {read.path} is of "
            f"{kind.replace('_', ' ')}.",
            next_step="Pass --stopwords paper, or another run.",
        )
    checkpoint = open_checkpoint(read.path, dataset=source)
    texts, pairs = _texts(source, samples)
    rows = text_rows(texts, pairs)
    frequent = _frequent_words(texts, pairs)
    encoded = encode_rows(rows, checkpoint, compile_words(frequent))
    words = _word_of_each(source, encoded.split, frequent)
    listed = encode_rows(rows, checkpoint, compile_words(PAPER_STOPWORDS)).split
    tokens = len(encoded.split.input_ids_T)
    paper_share = float(listed.word_sizes_W.sum()) / tokens
    effects, predictions = _effects(checkpoint, encoded, words, progress)
    chosen = _as_much_as(effects, paper_share)
    if not chosen:
        raise ConfigError(
            f"No list was learned from {len(texts):,} samples of {read.path}: {len(effects):,} words are in "
            f"{LEAST_SAMPLES} or more of them, and the paper's list covers {paper_share:.1%} of their tokens.",
            next_step="Pass --stopwords paper, or a run with more samples, in English.",
        )
    path = read.path / LEARNED_WORDS_NAME
    head = f"# {len(chosen)} words that this run's model does without, by tdbs prepare --stopwords learned:RUN"
    _write_list(path, "\n".join([head, *(effect.word for effect in chosen), ""]), overwrite=overwrite)
    return LearnedWords(
        path=path,
        words=chosen,
        ranked=len(effects),
        samples=len(texts),
        predictions=predictions,
        share=sum(effect.share for effect in chosen),
        paper_share=paper_share,
    )


def _write_list(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a list, unless it is there. Raises ConfigError if another one is: the user may have edited it."""
    standing = path.read_bytes() if path.is_file() else b""
    if standing == text.encode():
        return
    if standing and not overwrite:
        raise ConfigError(
            f"{path} has other words than those learned now.",
            next_step=f"Pass --stopwords {path} to use it as it is, or --overwrite to replace it.",
        )
    write_text(path, text)


def _own_dataset(run: Run) -> PreparedDataset:
    """Open the dataset of a run; one behind a URL has to be given, and `tdbs prepare` has no option for that."""
    named = f"{str(run.path)!r}, dataset={run.config['dataset']['path']!r}"
    return own_dataset(run, next_step=f"Call tdbs.learn_words({named}) in Python, and pass --stopwords its path.")


def _texts(dataset: PreparedDataset, samples: int | None) -> tuple[list[str], list[str] | None]:
    """Return the texts of some train samples, and the second ones of pairs, from their tokens."""
    split = read_split(dataset, TRAIN)
    count = samples or max(int(PREDICTIONS / split.lengths_N.mean()), 1)
    chosen_S = np.sort(spread_samples(split.lengths_N, count))
    firsts, ends = split.token_offsets_N1[:-1][chosen_S], split.token_offsets_N1[1:][chosen_S]
    tokenizer = read_decoder(dataset)

    def decoded(firsts: IntArray, ends: IntArray) -> list[str]:
        ids = (split.input_ids_T[first:end].tolist() for first, end in zip(firsts, ends, strict=True))
        return tokenizer.decode_batch(list(ids))

    if split.segment_starts_N is None:
        return decoded(firsts, ends), None
    middles = firsts + split.segment_starts_N[chosen_S]
    return decoded(firsts, middles), decoded(middles, ends)


def _frequent_words(texts: Sequence[str], pairs: Sequence[str] | None) -> frozenset[str]:
    """Return the words and marks that enough samples contain, as lists have them."""
    marks = combining_marks()
    # a word with its accents and apostrophes, or a mark alone; a line of a list that begins with # is a comment
    word = re.compile(rf"[^\W_](?:[^\W_]|[{marks}]|'(?=[^\W_]))*|[^\w\s#{marks}]")
    samples: Counter[str] = Counter()
    for parts in zip(texts, *([] if pairs is None else [pairs]), strict=True):
        samples.update({found for part in parts for found in word.findall(fold(part))})
    return frozenset(found for found, count in samples.items() if count >= LEAST_SAMPLES)


def _word_of_each(dataset: PreparedDataset, split: Split, frequent: frozenset[str]) -> list[str]:
    """Return the word of each occurrence (W), from its tokens; "" for what is not a frequent word when decoded."""
    rows_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(split.word_offsets_N1))
    firsts_W = split.token_offsets_N1[rows_W] + split.word_starts_W
    ids = [
        split.input_ids_T[first : first + size].tolist()
        for first, size in zip(firsts_W, split.word_sizes_W, strict=True)
    ]
    decoded = (fold(text.strip()) for text in read_decoder(dataset).decode_batch(ids))
    return [word if word in frequent else "" for word in decoded]


def _effects(
    checkpoint: Checkpoint, encoded: Encoded, words: Sequence[str], progress: Progress
) -> tuple[list[WordEffect], int]:
    """Return what each word does to predictions, the least effect first, and how many predictions it took."""
    split = encoded.split
    names, word_W = np.unique(np.array(words, dtype=str), return_inverse=True)
    row_W = np.repeat(np.arange(len(split.lengths_N)), np.diff(split.word_offsets_N1))
    pair_V, pair_W = np.unique(row_W * len(names) + word_W, return_inverse=True)
    row_V, word_V = np.divmod(pair_V, len(names))
    lost_V = np.bincount(pair_W, weights=split.word_sizes_W, minlength=len(pair_V)).astype(np.int64)
    special = checkpoint.info.special_tokens
    is_asked_V = (split.lengths_N[row_V] - lost_V > special) & (names[word_V] != "")
    asked = np.flatnonzero(is_asked_V)
    whole_SC = _probabilities(checkpoint, encoded)
    change_V = np.zeros(len(pair_V))
    for first in range(0, len(asked), _PAIRS_AT_ONCE):
        some = asked[first : first + _PAIRS_AT_ONCE]
        shorter = without_tokens(_repeated(encoded, row_V[some]), _dropped(split, row_V, pair_W, some))
        moved_PC = np.abs(_probabilities(checkpoint, shorter) - whole_SC[row_V[some]])
        if checkpoint.task.kind == "classification":
            change_V[some] = moved_PC[np.arange(len(some)), whole_SC[row_V[some]].argmax(axis=1)]
        else:
            change_V[some] = moved_PC.max(axis=1)
        progress(first + len(some), len(asked))
    samples_D = np.bincount(word_V[asked], minlength=len(names))
    changes_D = np.bincount(word_V[asked], weights=change_V[asked], minlength=len(names))
    sizes_D = np.bincount(word_W, weights=split.word_sizes_W, minlength=len(names))
    effects = [
        WordEffect(
            word=str(names[place]),
            samples=int(samples_D[place]),
            change=float(changes_D[place] / samples_D[place]),
            share=float(sizes_D[place] / len(split.input_ids_T)),
            in_paper=str(names[place]) in PAPER_STOPWORDS,
        )
        for place in np.flatnonzero(samples_D >= LEAST_SAMPLES)
    ]
    return sorted(effects, key=lambda effect: (effect.change, -effect.samples, effect.word)), len(asked)


def _as_much_as(effects: Sequence[WordEffect], share: float) -> list[WordEffect]:
    """Return the first words that together cover a share of the tokens; all, if they do not."""
    before = np.cumsum([0.0, *(effect.share for effect in effects)])[:-1]
    return [effect for effect, covered in zip(effects, before, strict=True) if covered < share]


def _repeated(encoded: Encoded, row_V: IntArray) -> Encoded:
    """Return samples of a block, one for each pair of a sample and a word, without droppable words."""
    split = encoded.split
    lengths_V = split.lengths_N[row_V]
    starts_N = split.segment_starts_N
    none = np.zeros(0, dtype=np.int32)
    repeated = replace(
        split,
        input_ids_T=split.input_ids_T[ragged_positions(split.token_offsets_N1[row_V], lengths_V)],
        token_offsets_N1=offsets_of(lengths_V),
        word_starts_W=none,
        word_sizes_W=none,
        word_offsets_N1=np.zeros(len(row_V) + 1, dtype=np.int64),
        segment_starts_N=None if starts_N is None else starts_N[row_V],
        source_rows_N=np.arange(len(row_V)),
    )
    return Encoded(split=repeated, rows_R=np.arange(len(row_V)))


def _dropped(split: Split, row_V: IntArray, pair_W: IntArray, some: IntArray) -> BoolArray:
    """Return which tokens (T) some pairs lose, of the samples that `_repeated` returns for them."""
    offsets_V1 = offsets_of(split.lengths_N[row_V[some]])
    place_V = np.full(len(row_V), -1)
    place_V[some] = np.arange(len(some))
    lost_W = np.flatnonzero(place_V[pair_W] >= 0)
    firsts_W = offsets_V1[place_V[pair_W[lost_W]]] + split.word_starts_W[lost_W]
    dropped_T = np.zeros(int(offsets_V1[-1]), dtype=np.bool_)
    dropped_T[ragged_positions(firsts_W, split.word_sizes_W[lost_W].astype(np.int64))] = True
    return dropped_T


def _probabilities(checkpoint: Checkpoint, encoded: Encoded) -> FloatArray:
    """Return the probability of each class for each sample of a block, in its order (S x C)."""
    strategy = inference_strategy(None, checkpoint.task, in_rows=checkpoint.in_rows)
    plan, _ = planned(checkpoint, encoded, strategy, seed=0)
    with torch.inference_mode(), checkpoint.accelerator.autocast():
        logits_SC = logits_of_samples(encoded, model_outputs(checkpoint, encoded, plan)).float()
    is_one = checkpoint.task.kind == "classification"
    found_SC: FloatArray = (torch.softmax(logits_SC, dim=1) if is_one else torch.sigmoid(logits_SC)).double().numpy()
    return found_SC
