"""Read labels that are single values, written as NumPy, PyTorch or Python print them: np.int64(1), tensor(1), b'pos'.

pandas writes tensors and bytes into CSV cells like this. With --label-type class every text is a class.
"""

import ast
import re

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BYTES = r"b'(?:[ -&(-\[\]-~]|\\[ -~])*'|b\"(?:[ !#-\[\]-~]|\\[ -~])*\""
_VALUE = rf"{_NUMBER}|nan|True|False|'[^'\\]*'|\"[^\"\\]*\"|{_BYTES}"
_OPTIONS = r"(?:,(?:[^()\[\]]|\([^()]*\))*)?"  # dtype=int32, shape=(), device='cuda:0'
CALL = rf"(?:np\.\w+|(?:tf\.)?[tT]ensor|[aA]rray)\(\s*({_VALUE})\s*{_OPTIONS}\)"  # the value is its only group
_SCALAR = rf"^\s*(?:{CALL}|np\.(True|False)_|({_BYTES}))\s*$"


def plain_scalars(texts: pa.Array) -> pa.Array:
    """Return texts without what is written around their values. Raises UnicodeDecodeError for bytes of no text."""
    is_scalar = pc.fill_null(pc.match_substring_regex(texts, _SCALAR), False)
    if not pc.any(is_scalar).as_py():
        return texts
    encoded = texts.dictionary_encode()
    plain = pa.array([_value(text) for text in encoded.dictionary.to_pylist()], texts.type)
    return plain.take(encoded.indices)


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
