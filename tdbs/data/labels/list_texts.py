"""Labels that are lists or objects written as texts, as pandas writes them into CSV cells: parsed, or refused.

Certain cases are a Python or JSON list, tuple, set or object with a quoted entry or several entries, and NumPy arrays
and PyTorch tensors, with or without the name of their kind. `[3]` and `[joy, love]` are lists only if all labels are in
brackets; `[UNK]` and `(none)` are names. Single values are read as NumPy, PyTorch or Python print them: np.int64(1),
tensor(1), b'pos'. With --label-type class every text is a class.
"""

import ast
import json
import math
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tdbs.data.columns import SourceColumn, bad_values
from tdbs.errors import RowError, SourceError
from tdbs.shown import MESSAGE, fitted, shown

# Lists, arrays and sets, as Python and its libraries print them.
_BRACKETED = r"^\s*(\[.*\]|\(.*\)|\{.*\}|[\w.]+\(\s*[\[{].*\))\s*$"
_NUMBER = r"(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|-?inf|\.\.\.)"  # ... stands for what NumPy leaves out
_NO_NUMBERS = ("nan", "inf", "-inf")  # as NumPy and PyTorch print them
_QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_SEVERAL = "|".join(rf"{entry}(?:\s+{entry})+" for entry in (_NUMBER, "(?:True|False)", rf"b?{_QUOTED}"))
_ARRAY = re.compile(rf"\[\s*(?:{_SEVERAL})\s*\]")  # as NumPy prints it
_ENTRY = re.compile(rf"b?{_QUOTED}|[^\s\[\]]+", re.DOTALL)
_ADJACENT = re.compile(r"\0\s*[bBuUrR]{0,2}\0")  # of quoted strings, each as a null character: Python joins them
_OBJECT = re.compile(r"\{\s*(?:'[^']*'|\"[^\"]*\")\s*:.*\}", re.DOTALL)
_KIND = r"(?:np\.|tf\.)?(?:array|Array|[tT]ensor)"
_WRAPPED = re.compile(rf"{_KIND}\(\s*(\[.*\])\s*(?:,[^\[\]]*)?\)|frozenset\((\{{.*\}})\)", re.DOTALL)
_INNER = re.compile(rf"{_KIND}\(\s*(\[[^()]*\])\s*(?:,[^()\[\]]*)?\)")  # an array in a list
_BARE = re.compile(r"\[[^\[\]]*\]", re.DOTALL)  # [joy, love]
FIX_TEXT = "Fix the row, or pass --label-type class if each text is a class."

_NOT_A_LIST = "has '{value}' in '{name}', which is not a list as others are"
_BROKEN = "has {value} in '{name}', a list that cannot be read"  # ['joy', nan], or strings side by side and commas

# Single values, printed in the same ways.
_SCALAR_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BYTES = r"b'(?:[ -&(-\[\]-~]|\\[ -~])*'|b\"(?:[ !#-\[\]-~]|\\[ -~])*\""
_VALUE = rf"{_SCALAR_NUMBER}|nan|True|False|'[^'\\]*'|\"[^\"\\]*\"|{_BYTES}"
_OPTIONS = r"(?:,(?:[^()\[\]]|\([^()]*\))*)?"  # dtype=int32, shape=(), device='cuda:0'
CALL = rf"(?:np\.\w+|(?:tf\.)?[tT]ensor|[aA]rray)\(\s*({_VALUE})\s*{_OPTIONS}\)"  # the value is its only group
_SCALAR = rf"^\s*(?:{CALL}|np\.(True|False)_|({_BYTES}))\s*$"


def refuse_list_texts(column: SourceColumn) -> None:
    """Raise for the first label that is certainly a list or an object written as a text.

    If most labels are lists, the first of the others is named: it is the one to fix.
    """
    texts = column.values.combine_chunks() if isinstance(column.values, pa.ChunkedArray) else column.values
    bracketed = pc.fill_null(pc.match_substring_regex(texts, f"(?s){_BRACKETED}"), False).to_pylist()
    if not any(bracketed):
        return
    found = [(index, texts[index].as_py().strip()) for index, is_so in enumerate(bracketed) if is_so]
    are_all = len(found) == len(texts) - texts.null_count
    are_numbers = are_all and all(isinstance(_parsed(text), list) for _, text in found)
    are_bare = are_all and all(_BARE.fullmatch(text) for _, text in found)
    for index, text in found:
        entries = entries_of(text)
        if entries is None and (are_numbers or (are_bare and "," in text)):
            entries = [_entry(part.strip()) for part in text[1:-1].split(",")]
        if entries is not None:
            _refuse_odd_text(column, texts)
            raise SourceError(
                fitted(
                    "{row} has {text} in '{name}', a list or an object, not a label.",
                    row=column.row(index),
                    text=text,
                    name=column.name,
                ),
                next_step=_list_step(column.name, entries),
            )


def refuse_words_as_texts(texts: pa.Array, *, column: str, where: str) -> None:
    """Raise if each text is a list of quoted words: split at white space, its marks would become parts of words."""
    entries = [entries_of(text) for text in texts.to_pylist()]
    words = [found for found in entries if found and all(isinstance(word, str) for word in found)]
    if words and len(words) == len(entries):
        lines = (json.dumps({column: words[0][:count]}, ensure_ascii=False) for count in (3, 2, 1))
        steps = (f"Write JSONL lines such as {shown(line)}, or texts with spaces between words." for line in lines)
        raise SourceError(
            fitted("'{name}' of {where} contains lists of words, written as texts.", name=column, where=where),
            next_step=_first_that_fits([*steps, "Write lists of words in JSONL, or texts with spaces between words."]),
        )


def are_list_texts(texts: Sequence[str], *, of_words: bool = False) -> bool:
    """Return whether texts are lists written as texts: all of them, and one is certainly not a name in brackets.

    More certain ones than others do as well: the others are the faults of their rows. With `of_words`, lists are of
    quoted words.
    """
    if of_words:
        found = (entries_of(text) or [] for text in texts)
        lists = sum(bool(words) and all(isinstance(word, str) for word in words) for words in found)
        return lists > len(texts) - lists
    are_certain = [list_entries(text) is not None and _is_certain(text) for text in texts]
    if 2 * sum(are_certain) > len(texts):
        return True
    return any(are_certain) and all(list_entries(text) is not None for text in texts)


def list_entries(text: str) -> list[str] | None:
    """Return the entries of a list that is written as a text, as texts; None if it is not a list of plain values."""
    plain = text.strip()
    entries = None if plain.startswith("{") and isinstance(_parsed(plain), dict) else entries_of(plain)
    if entries is None:
        parsed = _parsed(plain)
        if isinstance(parsed, (list, tuple, set)):  # set() and (), or one number
            entries = list(parsed)
        elif plain == "frozenset()":
            entries = []
        elif _BARE.fullmatch(plain):
            entries = [part.strip() for part in plain[1:-1].split(",")]
            if any(part[:1] in ("'", '"') for part in entries):  # quoted, and yet no literal
                return None
    if entries is None or not all(map(_is_label, entries)):
        return None
    return [entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry) for entry in entries]


def _is_label(entry: object) -> bool:
    """Return whether an entry of a list can be a label: NaN and Infinity of JSON and NumPy stand for none."""
    return isinstance(entry, (str, bytes, bool, int)) or (isinstance(entry, float) and math.isfinite(entry))


def entries_of(text: str) -> list[Any] | None:
    """Return the entries of a list or an object that is written as a text; None if the text is not certainly one."""
    text = text.strip()
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        text = wrapped[1] or wrapped[2]
    if _ARRAY.fullmatch(text):
        return [_entry(part) for part in _ENTRY.findall(text)]
    if _OBJECT.fullmatch(text):
        return re.findall(r"[{,]\s*['\"]([^'\"]*)['\"]\s*:", text)
    found = _parsed(text)
    if not isinstance(found, (list, tuple, set, dict)):
        return None if wrapped is None else [_entry(part) for part in text[1:-1].replace(",", " ").split()]
    entries = sorted(found, key=str) if isinstance(found, set) else list(found)
    is_certain = len(entries) > 1 or any(isinstance(entry, (str, bytes, list, tuple)) for entry in entries)
    is_object = isinstance(found, dict) and bool(found)
    return entries if is_certain or is_object or wrapped is not None else None


def not_lists(column: SourceColumn, odd: dict[int, str], *, next_step: str) -> RowError:
    """Return the error for texts among lists, by their index: those that are like the first, in brackets or not."""
    broken = {index: text for index, text in odd.items() if _BARE.fullmatch(text.strip())}
    if min(odd) in broken:
        return bad_values(column, broken, _BROKEN, next_step=next_step)
    plain = {index: text for index, text in odd.items() if index not in broken}
    return bad_values(column, plain, _NOT_A_LIST, next_step=next_step)


def plain_scalars(texts: pa.Array) -> pa.Array:
    """Return texts without what is written around their values. Raises UnicodeDecodeError for bytes of no text."""
    is_scalar = pc.fill_null(pc.match_substring_regex(texts, _SCALAR), False)
    if not pc.any(is_scalar).as_py():
        return texts
    encoded = texts.dictionary_encode()
    plain = pa.array([_value(text) for text in encoded.dictionary.to_pylist()], texts.type)
    return plain.take(encoded.indices)


def _is_certain(text: str) -> bool:
    is_several = _BARE.fullmatch(text.strip()) is not None and "," in text
    return is_several or entries_of(text) is not None or isinstance(_parsed(text.strip()), list)


def _refuse_odd_text(column: SourceColumn, texts: pa.Array) -> None:
    """Raise for texts among lists that are none of plain values, if they are fewer or all of them in brackets."""
    are_lists = {
        index: list_entries(text) is not None and _is_certain(text)
        for index, text in enumerate(texts.to_pylist())
        if text is not None
    }
    odd = {index: texts[index].as_py().strip() for index, is_so in are_lists.items() if not is_so}
    are_broken = all(_BARE.fullmatch(text) for text in odd.values())
    count = len(are_lists) - len(odd)
    if odd and count and (are_broken or count > len(odd)):
        error = not_lists(column, odd, next_step=FIX_TEXT)
        raise SourceError(error.message, next_step=error.next_step)  # skipping rows would not help: train decides


def _parsed(text: str) -> object:
    """Return the value of a text in JSON or Python, also if values are as NumPy and PyTorch print them."""
    for parse in (json.loads, _literal, _printed):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _printed(text: str) -> object:
    plain = re.sub(r"\bnan\b", "None", re.sub(CALL, r"\1", _INNER.sub(r"\1", text)))
    return _literal(plain)


def _literal(text: str) -> object:
    """Return the value of a literal; 1,5 and strings side by side, which Python reads as well, are none."""
    found = ast.literal_eval(text)
    if isinstance(found, tuple):
        if not text.strip().startswith("("):
            raise ValueError("no brackets")
        ast.literal_eval(f"[{text.strip()[1:-1]}]")  # fails for (1), (2)
    if _ADJACENT.search(re.sub(_QUOTED, "\0", text)):
        raise ValueError("strings side by side")
    return found


def _entry(text: str) -> Any:
    if text in _NO_NUMBERS:
        return float(text)
    parsed = _parsed(text)
    return text if parsed is None else parsed


def _list_step(label: str, entries: list[Any]) -> str:
    """Return a next step with a line of JSON with the label as it is meant, if it fits; tags are as many as words."""
    if {"text", "answer_start"} <= set(map(str, entries)):
        line = json.dumps({label: {"text": ["Ann"], "answer_start": [6]}}, ensure_ascii=False)
        return _first_that_fits([f"Write JSONL, with answers such as {shown(line)}.", "Write answers in JSONL."])
    values = [_shown_entry(entry) for entry in entries if _is_label(entry) or isinstance(entry, (list, tuple, dict))]
    is_tags = "tag" in label.lower()
    steps = []
    for count in (3, 2, 1):
        text: object = ["Anna", "lives", "here"][: len(values[:count])] if is_tags else "a text"
        line = json.dumps({"tokens" if is_tags else "text": text, label: values[:count]}, ensure_ascii=False)
        steps.append(f"Write JSONL lines such as {shown(line)}, or pass --label-type class.")
    return _first_that_fits([*steps, "Write lists in JSONL, or pass --label-type class if each text is a class."])


def _first_that_fits(steps: list[str]) -> str:
    return next((step for step in steps if len(step) <= MESSAGE), steps[-1])


def _shown_entry(entry: Any) -> str | float:
    if isinstance(entry, bytes):
        return entry.decode("utf-8", "replace")
    return entry if isinstance(entry, (str, bool, int, float)) else str(entry)


def _value(text: str) -> str:
    found = re.match(_SCALAR, text)
    if found is None:
        return text
    value = next(group for group in found.groups() if group is not None)
    if value.startswith("b"):
        return _bytes(value).decode("utf-8")
    return value[1:-1] if value[0] in "'\"" else value


def _bytes(literal: str) -> bytes:
    try:
        return bytes(ast.literal_eval(literal))
    except (SyntaxError, ValueError):  # an escape that Python does not write
        return literal.encode()
