"""Near duplicates by our array code beside datasketch: seconds of the CPU, and pairs found of an exact search's.

    pip install datasketch
    python -m benchmarks.bench_near_duplicates glue/sst2 glue/mrpc glue/qqp --mirror MIRROR --tokenizer TOKENIZER

All get the train split, one row for each normal form, and the same three-word shingles. Ours begins with token ids, as
`tdbs audit` does; datasketch with the words of the decoded texts. Both verify their candidates by the Jaccard index.
Texts of a pair are taken as one. The exact search is a prefix filter: rows with an index of t share one of the rarest
n - t n + 1 of their n shingles.
"""

import argparse
import math
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.common import print_rows
from tdbs.arrays import IntArray
from tdbs.pipeline.dataset import Split, read_split, read_tokenizer
from tdbs.pipeline.duplicates.candidates import BANDS, ROWS_A_BAND
from tdbs.pipeline.duplicates.near import THRESHOLD, near_pairs
from tdbs.pipeline.duplicates.normal import normal_texts
from tdbs.pipeline.duplicates.pieces import pieces_of
from tdbs.pipeline.duplicates.rows import first_with_same
from tdbs.pipeline.duplicates.shingles import WORDS
from tdbs.pipeline.prepare import prepare

Shingled = dict[int, frozenset[str]]  # by row
Pairs = set[tuple[int, int]]
Result = TypeVar("Result")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = [row for source in arguments.sources for row in measured(source, arguments.mirror, arguments.tokenizer)]
    print_rows(found, as_json=arguments.json, threshold=THRESHOLD)


def measured(source: str, mirror: Path | None, tokenizer: str) -> list[dict[str, Any]]:
    """Return the seconds and the pairs of each way, for a source."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(source, mirror=mirror, tokenizer=tokenizer, out=Path(folder) / "dataset").dataset
        split, backend = read_split(dataset, "train"), read_tokenizer(dataset)
    special = dataset.manifest.tokenizer.special_ids
    texts = backend.decode_batch([row.tolist() for row in np.split(split.input_ids_T, split.token_offsets_N1[1:-1])])
    (pairs, rows_R), ours = timed(lambda: by_arrays(split, backend, special))
    sets, shingling = timed(lambda: {row: shingles(words(texts[row])) for row in rows_R.tolist()})
    sets = {row: each for row, each in sets.items() if each}
    exact, seconds = timed(lambda: exact_pairs(sets))
    ways = {
        "ours": (ours, pairs),
        "datasketch, 16 bands of 4": by_datasketch(sets, num_perm=BANDS * ROWS_A_BAND, params=(BANDS, ROWS_A_BAND)),
        "datasketch, its own bands": by_datasketch(sets, num_perm=128, params=None),
        "exact": (seconds, exact),
    }
    return [
        {
            "source": source,
            "rows": len(sets),
            "way": way,
            "CPU (s)": spent + (0.0 if way == "ours" else shingling),
            "pairs": len(of_way),
            "found of exact": f"{len(of_way & exact) / max(len(exact), 1):.1%}",
            "not exact": len(of_way - exact),
        }
        for way, (spent, of_way) in ways.items()
    ]


def timed(run: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a run returns, and its seconds of the CPU."""
    begun = time.process_time()
    found = run()
    return found, time.process_time() - begun


def by_arrays(split: Split, backend: Any, special: Sequence[int]) -> tuple[Pairs, IntArray]:
    """Return the pairs of our array code, and the rows that were compared: the first of each normal form."""
    ids_T, offsets_N1 = split.input_ids_T, split.token_offsets_N1
    pieces = pieces_of(backend, np.flatnonzero(np.bincount(ids_T)), special_ids=special)
    normal = normal_texts(ids_T, offsets_N1, pieces)
    firsts_N = first_with_same(normal.digests_P)
    rows_R = np.flatnonzero(firsts_N == np.arange(len(firsts_N)))
    found = near_pairs(normal.shingles, rows_R)
    return set(zip(found.first_C.tolist(), found.second_C.tolist(), strict=True)), rows_R


def by_datasketch(sets: Shingled, **options: Any) -> tuple[float, Pairs]:
    """Return the seconds and the pairs of datasketch, with Python's own hash of a string: its fastest."""
    from datasketch import MinHash, MinHashLSH

    def run() -> Pairs:
        numbers = list(sets)
        hashes = MinHash.bulk(sets.values(), num_perm=options["num_perm"], hashfunc=low_half)
        index = MinHashLSH(threshold=THRESHOLD, **options)
        with index.insertion_session() as session:
            for number, each in zip(numbers, hashes, strict=True):
                session.insert(number, each, check_duplication=False)
        found = ((other, number) for number, each in zip(numbers, hashes, strict=True) for other in index.query(each))
        return verified(((one, other) for one, other in found if one < other), sets)

    pairs, seconds = timed(run)
    return seconds, pairs


def low_half(text: str) -> int:
    """Return 32 bits of Python's hash of a string."""
    return hash(text) & 0xFFFFFFFF


def exact_pairs(sets: Shingled) -> Pairs:
    """Return all pairs with an index of at least the threshold."""
    counts = Counter(text for each in sets.values() for text in each)
    holders: dict[str, list[int]] = defaultdict(list)
    for row, each in sets.items():
        rarest = sorted(each, key=lambda text: (counts[text], text))
        for text in rarest[: len(each) - math.ceil(THRESHOLD * len(each) - 1e-9) + 1]:
            holders[text].append(row)
    return verified((pair for rows in holders.values() for pair in combinations(rows, 2)), sets)


def verified(pairs: Iterable[tuple[int, int]], sets: Shingled) -> Pairs:
    """Return the pairs with an index of at least the threshold, each looked at once."""
    return {(a, b) for a, b in set(pairs) if len(sets[a] & sets[b]) >= THRESHOLD * len(sets[a] | sets[b])}


def words(text: str) -> list[str]:
    """Return the stretches of letters and digits of a text, in lower case."""
    return "".join(each.lower() if each.isalnum() else " " for each in text).split()


def shingles(found: Sequence[str]) -> frozenset[str]:
    """Return each three words in a row, or all words of a shorter text."""
    size = min(WORDS, len(found))
    return frozenset(" ".join(found[place : place + size]) for place in range(len(found) - size + 1) if size)


if __name__ == "__main__":
    main()
