"""Known faults of made datasets, a function for each kind.

Each changes what a seed has drawn, by a strength that it draws too: from just worth fixing to gross.
"""

from collections.abc import Callable

from tests.analysis.audit.made import CYRILLIC, HIDDEN, VOCABULARY, WORDS, Made, Row, clean

LOOK_ALIKE = {"a": "а", "e": "е", "o": "о", "c": "с", "p": "р"}
UNKNOWN = "\N{SNOWMAN}"


def _copies(made: Made, rows: list[Row]) -> list[Row]:
    return [dict(row) for row in rows]


def _relabelled(made: Made, row: Row) -> Row:
    return row | {"label": made.stream.choice([name for name in made.classes if name != row["label"]])}


def _punctuated(made: Made, text: str) -> str:
    """Return a text with the same letters: other case, hyphens for spaces, commas more."""
    words = text.split(" ")
    for place in range(len(words) - 1):
        if made.stream.random() < 0.3:
            words[place] += made.stream.choice([",", ";", " -", "..."])
    changed = made.stream.choice([str.upper, str.title, str])(" ".join(words))
    return changed.rstrip(".!? ") + made.stream.choice([".", "!!", " ?"]) + '"'


def _normal_copy(made: Made, row: Row) -> Row:
    return row | {"text": _punctuated(made, row["text"])}


def _near_copy(made: Made, row: Row) -> Row:
    """Return a row whose text has more words before or behind it: at most 2, of at least 18."""
    more = " ".join(made.stream.choices(VOCABULARY, k=made.stream.randint(1, 2)))
    text = row["text"].rstrip(".!? ")
    return row | {"text": f"{more} {text}" if made.stream.random() < 0.5 else f"{text} {more}"}


def _long_rows(made: Made, rows: list[Row]) -> list[Row]:
    """Return the rows with 12 words or more, and make some if there are few."""
    for row in made.stream.sample(rows, len(rows) // 4):
        row["text"] = made.text(words=made.stream.randint(12, 40))
    return [row for row in rows if len(row["text"].split()) >= 12]


def _exact(made: Made) -> None:
    made.add(made.train, _copies(made, made.some(made.train, 0.01, 0.2, 6)))


def _normalized(made: Made) -> None:
    made.add(made.train, [_normal_copy(made, row) for row in made.some(made.train, 0.01, 0.2, 6)])


def _near(made: Made) -> None:
    made.add(made.train, [_near_copy(made, row) for row in made.some(_long_rows(made, made.train), 0.08, 0.4, 9)])


def _leak(made: Made) -> None:
    made.add(made.validation, _copies(made, made.some(made.train, 0.0, 0.05, 1)))


def _normalized_leak(made: Made) -> None:
    made.add(made.validation, [_normal_copy(made, row) for row in made.some(made.train, 0.0, 0.05, 1)])


def _near_leak(made: Made) -> None:
    made.add(made.validation, [_near_copy(made, row) for row in made.some(_long_rows(made, made.train), 0.0, 0.1, 2)])


def _conflict(made: Made) -> None:
    made.add(made.train, [_relabelled(made, row) for row in made.some(made.train, 0.0, 0.1, 1)])


def _conflict_with_train(made: Made) -> None:
    made.add(made.validation, [_relabelled(made, row) for row in made.some(made.train, 0.0, 0.05, 1)])


def _truncation(made: Made) -> None:
    lengths = sorted(len(row["text"].split()) + len(row.get("pair", "").split()) for row in made.train)
    made.options["max_length"] = lengths[int(len(lengths) * made.stream.uniform(0.4, 0.9))] + 2


def _empty(made: Made) -> None:
    for row in made.some(made.train, 0.0, 0.05, 1):
        row["text"] = " "


def _one_token(made: Made) -> None:
    for row in made.some(made.train, 0.015, 0.1, 5):
        row["text"] = made.stream.choice(VOCABULARY)


def _outliers(made: Made) -> None:
    for row in made.some(made.train, 0.003, 0.02, 2):
        row["text"] = made.text(words=round(made.middle * made.stream.uniform(15, 20)))


def _length_shift(made: Made) -> None:
    factor = made.stream.uniform(1.6, 3)
    for row in made.validation:
        row["text"] = made.text(words=round(factor * len(row["text"].split())))
        if made.is_pair:
            row["pair"] = made.text(words=round(factor * len(row["pair"].split())))


def _imbalance(made: Made) -> None:
    ratio = made.stream.uniform(12, 40)
    for rows in (made.train, made.validation):
        others = [row for row in rows if row["label"] != made.classes[0]]
        for row in others:
            row["label"] = made.classes[1]
        kept = set(map(id, made.stream.sample(others, max(2, round(len(rows) / (ratio + 1))))))
        for row in others:
            if id(row) not in kept:
                row["label"] = made.classes[0]


def _rare(made: Made) -> None:
    made.add(made.train, [made.row() | {"label": "rare class"} for _ in range(made.stream.randint(1, 9))])


def _missing(made: Made) -> None:
    for row in made.validation:
        if row["label"] == made.classes[0]:
            row["label"] = made.classes[1]


def _class_shift(made: Made) -> None:
    for row in made.validation:
        if made.stream.random() < made.stream.uniform(0.5, 0.9):
            row["label"] = made.classes[0]


def _unknown(made: Made) -> None:
    share = made.stream.uniform(0.01, 0.1)
    for row in made.train:
        row["text"] = " ".join(UNKNOWN if made.stream.random() < share else word for word in row["text"].split(" "))


def _fertility(made: Made) -> None:
    """Write all texts in words that the tokenizer can only spell."""
    foreign = ["".join(made.stream.choices("qwxyj", k=made.stream.randint(4, 9))) for _ in range(WORDS)]
    known = dict(zip(VOCABULARY, foreign, strict=True))
    for row in (*made.train, *made.validation):
        for column in {"text", "pair"} & row.keys():
            row[column] = " ".join(known.get(word.lower().strip(".!?"), word) for word in row[column].split(" "))


def _label_length(made: Made) -> None:
    more = made.stream.uniform(0.8, 2)
    for row in (*made.train, *made.validation):
        if row["label"] == made.classes[0]:
            row["text"] = made.text(words=round(len(row["text"].split()) * (1 + more)) + (15 if made.is_pair else 2))


def _droppable(made: Made) -> None:
    share = made.stream.uniform(0.55, 0.8)
    for row in made.train:
        if row["label"] == made.classes[0]:
            row.update(made.row(droppable=share) | {"label": row["label"]})


def _control(made: Made) -> None:
    for row in made.some(made.train, 0.002, 0.1, 2):
        words = row["text"].split(" ")
        words.insert(made.stream.randint(0, len(words)), made.stream.choice(HIDDEN))
        row["text"] = " ".join(words)


def _mixed_scripts(made: Made) -> None:
    for row in made.some(made.train, 0.002, 0.1, 2):
        letter = made.stream.choice([letter for letter in LOOK_ALIKE if letter in row["text"].lower()[1:]] or ["a"])
        words = f"{row['text']} {made.stream.choice([word for word in VOCABULARY if letter in word])}"
        row["text"] = words[0] + words[1:].replace(letter, LOOK_ALIKE[letter])


def _other_scripts(made: Made) -> None:
    for row in made.some(made.train, 0.002, 0.1, 2):
        for column in {"text", "pair"} & row.keys():
            sizes = (made.stream.randint(2, 9) for _ in row[column].split(" "))
            row[column] = " ".join("".join(made.stream.choices(CYRILLIC, k=size)) for size in sizes)


FAULTS: dict[str, Callable[[Made], None]] = {
    "exact_duplicates": _exact,
    "normalized_duplicates": _normalized,
    "near_duplicates": _near,
    "leaks": _leak,
    "normalized_leaks": _normalized_leak,
    "near_leaks": _near_leak,
    "conflicts": _conflict,
    "conflicts_with_train": _conflict_with_train,
    "truncation": _truncation,
    "empty": _empty,
    "one_token": _one_token,
    "length_outliers": _outliers,
    "length_shift": _length_shift,
    "class_imbalance": _imbalance,
    "rare_classes": _rare,
    "missing_classes": _missing,
    "class_shift": _class_shift,
    "unknown_tokens": _unknown,
    "fertility": _fertility,
    "label_length": _label_length,
    "droppable_skew": _droppable,
    "control_characters": _control,
    "mixed_scripts": _mixed_scripts,
    "other_scripts": _other_scripts,
}


def faulty(fault: str, seed: int) -> Made:
    """Return a dataset with one fault."""
    made = clean(seed)
    FAULTS[fault](made)
    return made
