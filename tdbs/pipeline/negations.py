"""Words that negate, by language: dropping one can turn a label round ("not good"), so a list that holds some is named.

The main ones of the languages that NLTK has lists for; of English also the forms in which its list cuts them ("don").
"""

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
