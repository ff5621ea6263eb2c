"""The grammar of the sample corpus: phrases with slots, and the words that fill them.

A word in capitals is a slot. ADJ, VERBS and THING carry the label; FOE is an adjective of the other label and stands
only after a negation (few words, so that a small model sees each of them denied often enough to learn it).
No word that decides the label is one that TokenDrop may drop.
"""

NEUTRAL = {
    slot: tuple(words.split())
    for slot, words in {
        "FILM": "film movie picture story comedy drama thriller sequel remake documentary romance western musical "
        "adventure fable feature",
        "PART": "acting script plot ending cast music camera direction dialogue pacing soundtrack opening premise "
        "humor editing finale scenery performance screenplay chemistry",
        "VERY": "truly really quite rather almost simply always often mostly deeply thoroughly remarkably",
        "PLAIN": "young old small quiet american french rural modern famous local lonely married foreign second",
        "WHO": "woman man boy girl teacher soldier doctor writer singer painter farmer lawyer family couple sister "
        "brother mother father stranger widow detective student",
        "PLACE": "paris london tokyo texas brooklyn berlin rome chicago dublin mexico india vienna",
        "TOPIC": "love war money family memory faith work friendship politics grief music crime marriage childhood "
        "death fame",
        "NAME": "Allen Baker Carter Diaz Evans Fischer Garcia Hughes Ito Jensen Kim Lopez Moreau Novak Olsen Petrov",
        "TIME": "summer winter years months days decades hours weeks",
    }.items()
}
# by label: 0 negative, 1 positive
CHARGED = tuple(
    {slot: tuple(words.split()) for slot, words in by_slot.items()}
    for by_slot in (
        {
            "ADJ": "bad boring awful dull bland tedious shallow clumsy tired lifeless lazy stale silly pointless "
            "painful predictable forgettable dreary messy hollow weak annoying flat ugly stupid incoherent "
            "tiresome unfunny pretentious dreadful",
            "VERBS": "fails bores drags disappoints stumbles collapses irritates flounders grates sinks",
            "THING": "mess failure bore dud disaster waste chore misfire letdown embarrassment",
            "FOE": "good funny great clever smart moving",
        },
        {
            "ADJ": "good funny great charming clever moving fresh smart warm witty brilliant touching gripping lovely "
            "delightful powerful elegant sincere original wonderful inventive superb engaging hilarious graceful rich "
            "beautiful thrilling tender masterful",
            "VERBS": "works charms delights shines soars succeeds dazzles triumphs sparkles enchants",
            "THING": "gem triumph delight treasure pleasure success joy masterpiece wonder winner",
            "FOE": "bad boring dull weak silly tedious",
        },
    )
)
JUDGEMENTS = (
    "ADJ FILM",
    "VERY ADJ",
    "ADJ and ADJ",
    "ADJ , ADJ PART",
    "a ADJ FILM",
    "what a THING",
    "PLAIN yet ADJ",
    "PART that VERBS",
    "the PART VERBS",
    "the PART is ADJ",
    "ADJ PART , ADJ PART",
    "a THING of a FILM",
    "its PART VERY VERBS",
    "the PLAIN FILM VERBS",
    "it's a VERY ADJ FILM",
    "one VERY ADJ PLAIN FILM",
    "this is a ADJ and ADJ FILM",
    "the FILM and its PART are ADJ",
    "everyone finds the PART VERY ADJ",
    "NAME makes this PLAIN FILM VERY ADJ",
    "the FILM VERBS , the PART likewise VERBS",
    "there is a ADJ FILM in all of this",
)
DENIALS = (
    "not FOE",
    "never FOE",
    "hardly FOE",
    "never FOE PART",
    "the PART is not FOE",
    "the FILM is never FOE",
    "this is not a FOE FILM",
    "not FOE but VERY ADJ",
    "the PART is never FOE and it VERBS",
    "not a FOE FILM but a ADJ one",
)
ASIDES = (
    "here",
    "again",
    "from PLACE",
    "starring NAME",
    "says NAME",
    "about TOPIC",
    "set in PLACE",
    "like most FILM plots",
    ", says critic NAME",
    "with NAME and NAME",
    "- two TIME long -",
    "in the end",
    "about TOPIC , TOPIC , TOPIC",
    "( think PLACE TOPIC )",
    "from PLAIN director NAME",
    "after all these TIME",
    "when WHO meets WHO",
    "by the WHO NAME",
    "starring NAME , NAME , NAME and NAME",
    "about a PLAIN WHO and her WHO",
    "as NAME told me",
    ", PLACE filmmaker NAME says ,",
    "where NAME plays one PLAIN WHO",
    "that NAME made for his WHO",
    "in which NAME , playing a WHO , leaves PLACE",
    "through the TIME of TOPIC in PLACE",
    "( from NAME's PLAIN story )",
    "about how every PLAIN WHO becomes a WHO",
    "- if you can stand TOPIC and TOPIC -",
    "while one PLAIN WHO leaves PLACE , TOPIC and TOPIC behind",
    "made three TIME later by NAME , NAME and some PLAIN friends",
)
JOINTS = (", and", "; then", ", because", "... and", "- and", ", yet also")
