"""Characters that several tokens spell byte by byte: tokens in a row that are parts of characters become one unit.

Byte-level tokenizers spell ’, — and most letters beyond ASCII in two tokens or three. None of them is a letter, a mark
or a space by itself, so such tokens are decoded together. Units are numbered behind the ids of the vocabulary, for some
texts at a time. Cost: Python sees each distinct run of parts once for these texts.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tdbs.arrays import IntArray, offsets_of, ragged_positions
from tdbs.pipeline.duplicates.pieces import REPLACEMENT, Pieces, added_texts, alone, flat_pieces, segments_of
from tdbs.pipeline.duplicates.rows import same_rows

# Shapes: T tokens of some texts, P1 = texts + 1, U units, R runs of parts, D distinct runs, G segments.


def spelled(ids_T: npt.NDArray[Any], offsets_P1: IntArray, pieces: Pieces) -> tuple[npt.NDArray[Any], IntArray, Pieces]:
    """Return texts by units, each a token or a run of parts of characters, and the pieces of all units.

    Args:
        ids_T: Token ids of the texts, one text after the other.
        offsets_P1: Text p has tokens [p] to [p + 1].
        pieces: What the ids stand for.

    Returns:
        The units (U), where each text begins among them (P1), and their pieces. Without parts: what was given.
    """
    is_part_T = pieces.is_part_V[ids_T]
    if not is_part_T.any():
        return ids_T, offsets_P1, pieces
    follows_T = is_part_T.copy()  # a part behind a part of the same text
    follows_T[1:] &= is_part_T[:-1]
    follows_T[offsets_P1[:-1][np.diff(offsets_P1) > 0]] = False
    firsts_U = np.flatnonzero(~follows_T)
    sizes_U = np.diff(np.append(firsts_U, len(ids_T)))
    runs = np.flatnonzero(is_part_T[firsts_U])
    ids_V = ids_T[ragged_positions(firsts_U[runs], sizes_U[runs])]
    offsets_R1 = offsets_of(sizes_U[runs])
    first_R, which_R = np.unique(same_rows(ids_V, offsets_R1), return_inverse=True)
    distinct = [ids_V[offsets_R1[row] : offsets_R1[row + 1]].tolist() for row in first_R.tolist()]
    units_U = ids_T[firsts_U].astype(np.int64)
    units_U[runs] = len(pieces.is_part_V) + which_R
    return units_U, offsets_of(~follows_T)[offsets_P1], _with_runs(pieces, distinct)


def _with_runs(pieces: Pieces, runs: list[list[int]]) -> Pieces:
    """Return pieces with those of runs behind them. What spells no character, as behind a cut, equals itself alone."""
    texts = added_texts(pieces.tokenizer, runs)
    found = [
        segments_of(text) if text.strip(REPLACEMENT) else alone(run) for run, text in zip(runs, texts, strict=True)
    ]
    more = flat_pieces(found, is_part_V=np.zeros(len(runs), dtype=np.bool_), texts={}, tokenizer=pieces.tokenizer)
    return Pieces(
        offsets_V1=np.append(pieces.offsets_V1, more.offsets_V1[1:] + pieces.offsets_V1[-1]),
        bytes_B=np.append(pieces.bytes_B, more.bytes_B),
        byte_offsets_G1=np.append(pieces.byte_offsets_G1, more.byte_offsets_G1[1:] + pieces.byte_offsets_G1[-1]),
        hashes_G=np.append(pieces.hashes_G, more.hashes_G),
        begins_G=np.append(pieces.begins_G, more.begins_G),
        ends_V=np.append(pieces.ends_V, more.ends_V),
        is_part_V=np.append(pieces.is_part_V, more.is_part_V),
        texts=pieces.texts,
        tokenizer=pieces.tokenizer,
    )
