"""Articles and punctuation removed one character after the other: slow, plain, never imported by tdbs."""

import unicodedata

MARKS = ",.;:!?'’‘\"“”`…"
JOINTS = ".'’-\u2010\u2011"


def without(text: str, kinds: set[str]) -> str:
    """Return a text without articles, punctuation or both, its white space tidied where something went."""
    gone = [False] * len(text)
    for place, letter in enumerate(text):
        if "punctuation" in kinds and letter in MARKS and not (_digit(text, place - 1) and _digit(text, place + 1)):
            gone[place] = True
        for article in ("a", "an", "the") if "articles" in kinds else ():
            end = place + len(article)
            if text[place:end].lower() != article or _of_word(text, place - 1) or _of_word(text, end):
                continue
            if _at(text, place - 1) in JOINTS and _letter(text, place - 2):
                continue
            if _at(text, end) in JOINTS and _letter(text, end + 1):
                continue
            gone[place:end] = [True] * len(article)
    kept, place = "", 0
    while place < len(text):
        end = place
        while end < len(text) and (gone[end] or text[end].isspace()):
            end += 1
        if not any(gone[place:end]):
            end = max(end, place + 1)
            kept += text[place:end]
        elif place > 0 and end < len(text):
            kept += next((space for space in text[place:end] if space.isspace()), "")
        place = end
    return kept if kept.strip() else text


def _at(text: str, place: int) -> str:
    return text[place] if 0 <= place < len(text) else "\0"


def _digit(text: str, place: int) -> bool:
    return _at(text, place).isdecimal()


def _letter(text: str, place: int) -> bool:
    return _at(text, place).isalnum() or _at(text, place) == "_"


def _of_word(text: str, place: int) -> bool:
    return _letter(text, place) or unicodedata.category(_at(text, place))[0] == "M"
