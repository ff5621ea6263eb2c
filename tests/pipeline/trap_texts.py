"""Texts made of what goes wrong: listed words in every disguise, glued to characters that forbid or allow them."""

from hypothesis import strategies as st

WORDS = (
    *("i", "I", "a", "A", "the", "The", "THE", "of", "off", "on", "only", "no", "not", "it", "its", "it's", "It’s"),
    *(
        "you",
        "you're",
        "You’re",
        "YOU'LL",
        "you'd",
        "she's",
        "that'll",
        "should've",
        "shouldn't",
        "don't",
        "his",
        "this",
    ),
    *("myself", "because", "yourselves", "was", "as", "so", "item", "stop", "state-of-the-art", "3.5", "U.S.", "e.g."),
)
GLUE = (
    *(" ", " ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u2009"),
    *("'", "’", "ʼ", "`", "-", "\u2010", "\u2011", "–", "—", "_", "▁"),
    *(".", "..", "...", "....", "…", ";", "(", ")", "()", ",", "!", "/", '"'),
    *(
        "1",
        "23",
        "٣",
        "½",
        "Ⅳ",
        "é",
        "e\u0301",
        "\u0301",
        "\u20dd",
        "ß",
        "ẞ",
        "ﬀ",
        "oﬀ",
        "oﬀ-",
        "İ",
        "ı",
        "ŉ",
        "ẖ",
        "K",
    ),
    *("\U0001f600", "\U0001f469\u200d\U0001f4bb", "中", "\u200b", "\u200d", "\ufeff", "\u00ad", "x", "s", "ſ", "iſ"),
    *("</s>", "<s>", "<mask>", "[SEP]", "[MASK]", "<|endoftext|>"),  # special tokens of some tokenizers, as text
)

trap_texts = st.lists(st.sampled_from(WORDS + GLUE), max_size=14).map("".join)
any_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
