"""The words that TokenDrop may drop, and words that negate, by language.

The list is the paper's (App. A), another language's, the user's own, or none. The paper's has 128 words and 6
punctuation marks; no negation and no comma. NLTK's present English list contains negations and has grown: it would
change labels. `--keep` removes words from a list, one by one or in groups. Dropping a negation can reverse a label
("not good"), so `prepare` names a list that contains some. The negations are the main ones of the languages of NLTK's
lists; for English also the forms in which its list cuts them ("don").
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tdbs.errors import ConfigError, require
from tdbs.pipeline.words.matches import fold

NEGATIONS: dict[str, frozenset[str]] = {
    "english": frozenset(
        """no nor not never none neither nobody nothing nowhere cannot without ain ain't aren aren't can't couldn
        couldn't didn didn't doesn doesn't don don't hadn hadn't hasn hasn't haven haven't isn isn't mightn mightn't
        mustn mustn't needn needn't shan shan't shouldn shouldn't wasn wasn't weren weren't won won't wouldn
        wouldn't""".split()
    ),
    "german": frozenset(
        "nicht nichts nie niemals nein kein keine keinem keinen keiner keines ohne weder niemand".split()
    ),
    "french": frozenset("ne n pas non ni jamais rien aucun aucune sans point guère nul nulle personne".split()),
    "spanish": frozenset("no ni nunca jamás nada nadie ningún ninguno ninguna sin tampoco".split()),
    "italian": frozenset("non no né mai niente nulla nessuno nessuna senza".split()),
    "portuguese": frozenset("não nem nunca jamais nada ninguém nenhum nenhuma sem".split()),
    "dutch": frozenset("niet niets geen nooit niemand nergens noch zonder nee".split()),
    "swedish": frozenset("inte icke ej ingen inget inga aldrig utan nej".split()),
    "danish": frozenset("ikke ej ingen intet aldrig uden nej".split()),
    "norwegian": frozenset("ikke ikkje ingen inkje intet aldri uten nei".split()),
    "finnish": frozenset("ei en et emme ette eivät älä älkää ilman".split()),
    "turkish": frozenset("değil hayır hiç hiçbir yok ne asla".split()),
    "russian": frozenset("не ни нет никогда нельзя ничего никто без".split()),
    "hungarian": frozenset("nem ne se sem nincs nincsen soha senki semmi nélkül".split()),
    "romanian": frozenset("nu n nici niciodată nimic nimeni fără niciun nicio".split()),
    "greek": frozenset("δεν δε μη μην οχι όχι ούτε ποτέ τίποτα χωρίς".split()),
    "arabic": frozenset("لا لم لن ليس ليست ما بلا غير دون".split()),
}
ALL_NEGATIONS: frozenset[str] = frozenset().union(*NEGATIONS.values())


PRONOUNS = frozenset(
    """i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
    himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom
    this that that'll these those""".split()
)
PAPER_STOPWORDS = frozenset(
    """i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
    himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom
    this that that'll these those am is are was were be been being have has had having do does did doing a an the
    and but if or because as until while of at by for with about against between into through during before after
    above below to from up down in out on off over under again further then once here there when where why how all
    any both each few more most other some such only own so than too very can will just should should've now - . ;
    ... ( )""".split()
)
GROUPS: dict[str, frozenset[str]] = {"pronouns": PRONOUNS, "negation": ALL_NEGATIONS}  # names that --keep knows
_NLTK = "nltk:"
LEARNED = "learned:"  # the command line learns such a list, and passes its file


@dataclass(frozen=True, kw_only=True, slots=True)
class WordList:
    """The words that may be dropped, and what they were chosen from."""

    source: str  # paper, nltk:<language>, the name of a file, none
    kept: tuple[str, ...]  # words and groups that were taken off, as given
    words: frozenset[str]


def choose_words(stopwords: str = "paper", *, keep: Sequence[str] = ()) -> WordList:
    """Return a list less the words that are kept; whatever their case, and however their accents are written."""
    source = stopwords
    if stopwords == "paper":
        words = PAPER_STOPWORDS
    elif stopwords == "none":
        words = frozenset()
    elif stopwords.startswith(_NLTK):
        words = _nltk_words(stopwords.removeprefix(_NLTK))
    elif stopwords.startswith(LEARNED):
        raise ConfigError(
            f"--stopwords {stopwords} is for the command tdbs prepare.",
            next_step="Pass the path of the list: tdbs.learn_words(RUN).path.",
        )
    else:
        path = Path(stopwords).expanduser()
        words, source = _words_of_file(path), path.name
    is_turkish = any("ı" in word for word in words)
    kept = {fold(word, is_turkish=is_turkish) for entry in keep for word in GROUPS.get(entry, {entry})}
    return WordList(
        source=source,
        kept=tuple(sorted(set(keep))),
        words=frozenset(word for word in words if fold(word, is_turkish=is_turkish) not in kept),
    )


def negations_in(words: WordList) -> tuple[str, ...]:
    """Return the negations that remain in a list, sorted, in the named language or in English."""
    known = NEGATIONS.get(words.source.removeprefix(_NLTK), NEGATIONS["english"])
    if not words.source.startswith(_NLTK) and words.source != "paper":
        known = ALL_NEGATIONS  # a file does not say its language
    return tuple(sorted(known & words.words))


def words_sha256(words: Iterable[str]) -> str:
    """Return the hash that a prepared dataset records: one list, one hash, whatever its order."""
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()


def _words_of_file(path: Path) -> frozenset[str]:
    """Return the words of a file, one per line; blank lines and lines that begin with # do not count."""
    if not path.is_file():
        raise ConfigError(
            f"--stopwords {path} is not a file.", next_step="Pass paper, nltk:<language>, the path of a file, or none."
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8.", next_step="Save it as UTF-8.") from error
    found = set()
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word.isprintable():
            raise ConfigError(
                f"Line {number} of {path.name} contains a control character.", next_step="Write one word per line."
            )
        if word and not word.startswith("#"):
            found.add(word)
    if not found:
        raise ConfigError(
            f"{path.name} contains no words.", next_step="Write one word per line, or pass --stopwords none."
        )
    return frozenset(found)


def _nltk_words(language: str) -> frozenset[str]:
    """Return a list of NLTK's, which must be on the machine; nothing is downloaded."""
    if not re.fullmatch(r"[a-z]+", language):  # it names a file
        raise ConfigError(
            f"nltk has no language '{language}'.", next_step="Write its name in lower case, as in nltk:german."
        )
    require("nltk", "--stopwords nltk:…", "tdbs[languages]")
    from nltk.corpus import stopwords

    try:
        languages = stopwords.fileids()
    except LookupError as error:
        raise ConfigError(
            "The stopword lists of nltk are not on this machine.",
            next_step="With a network, run: python -m nltk.downloader stopwords",
        ) from error
    if language not in languages:
        raise ConfigError(
            f"nltk has no stopwords for '{language}'.", next_step=f"Choose one of: {', '.join(sorted(languages))}."
        )
    return frozenset(word.strip() for word in stopwords.words(language) if word.strip())
