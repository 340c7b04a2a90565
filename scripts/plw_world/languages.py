"""Three generated languages with a regular grammar, which stand in for French, German and Romanian.

Every language has its own words, made from its own syllables. The grammars differ as the real ones do:
French puts adjectives after the noun, German the verb at the end, Romanian the article at the noun's end.
"""

import random
from dataclasses import dataclass, field

from plw_world.names import make_names
from plw_world.world import JOBS

NOUNS = [*JOBS[:6], "child", "king", "bird", "house", "boat", "tree"]
ADJECTIVES = ["old", "young", "red", "blue", "big", "small"]
VERBS = ["sees", "likes", "finds", "wants", "paints", "needs"]
NAMES = {"en": "English", "fr": "French", "de": "German", "ro": "Romanian"}
_SOUNDS = {
    "fr": {
        "onsets": ["ch", "j", "l", "v", "gn", "s"],
        "vowels": ["é", "ou", "ai", "eau"],
        "codas": ["r", "lle", "x"],
    },
    "de": {
        "onsets": ["sch", "w", "st", "kr", "z", "pf"],
        "vowels": ["ü", "ei", "au", "ö"],
        "codas": ["ch", "t", "g"],
    },
    "ro": {
        "onsets": ["c", "m", "p", "r", "dr", "ț"],
        "vowels": ["ă", "ea", "i", "oa"],
        "codas": ["n", "ș", "c"],
    },
}


@dataclass(frozen=True)
class Phrase:
    """What is said: subject, verb and object, each noun with an adjective or None; or a subject alone."""

    subject: tuple[str | None, str]
    verb: str | None = None
    object: tuple[str | None, str] | None = None


@dataclass(frozen=True)
class Language:
    """Words of one language by their English word, and two genders that decide the article."""

    code: str
    words: dict[str, str] = field(hash=False)
    gender: dict[str, int] = field(hash=False)
    articles: tuple[str, str]


def build_languages(*, seed: int) -> dict[str, Language]:
    """The three languages of a seed, by code (fr, de, ro)."""
    rng = random.Random(f"{seed}/languages")
    taken: set[str] = set()
    languages = {}
    for code, sounds in _SOUNDS.items():
        english = NOUNS + ADJECTIVES + VERBS
        words = make_names(rng, count=len(english), syllables=1, taken=taken, **sounds)
        articles = make_names(rng, count=2, syllables=1, taken=taken, onsets=sounds["onsets"],
                              vowels=sounds["vowels"])  # fmt: skip
        gender = {noun: rng.randrange(2) for noun in NOUNS}
        languages[code] = Language(code, dict(zip(english, words, strict=True)), gender, (articles[0], articles[1]))
    return languages


def sample_phrase(rng: random.Random) -> Phrase:
    """A random meaning; about half of the nouns have an adjective."""
    subject, thing = rng.sample(NOUNS, 2)
    adjectives = [rng.choice(ADJECTIVES) if rng.random() < 0.5 else None for _ in range(2)]
    return Phrase((adjectives[0], subject), rng.choice(VERBS), (adjectives[1], thing))


def sample_noun_phrase(rng: random.Random) -> Phrase:
    """A noun with its article and perhaps an adjective."""
    return Phrase((rng.choice(ADJECTIVES) if rng.random() < 0.5 else None, rng.choice(NOUNS)))


def say_english(phrase: Phrase) -> str:
    """The phrase in English, without a capital letter or full stop (a sentence has five to seven words)."""
    parts = ["the", *filter(None, phrase.subject)]
    if phrase.verb and phrase.object:
        parts += [phrase.verb, "the", *filter(None, phrase.object)]
    return " ".join(parts)


def say(phrase: Phrase, language: Language) -> str:
    """The phrase in one of the generated languages."""

    def noun_phrase(adjective: str | None, noun: str) -> list[str]:
        article = language.articles[language.gender[noun]]
        word = language.words[noun]
        adjectives = [language.words[adjective]] if adjective else []
        if language.code == "fr":
            return [article, word, *adjectives]
        if language.code == "de":
            return [article, *adjectives, word]
        return [word + article, *adjectives]  # Romanian: the article is a suffix

    if not (phrase.verb and phrase.object):
        return " ".join(noun_phrase(*phrase.subject))
    subject, thing = noun_phrase(*phrase.subject), noun_phrase(*phrase.object)
    verb = [language.words[phrase.verb]]
    order = [subject, thing, verb] if language.code == "de" else [subject, verb, thing]
    return " ".join(word for part in order for word in part)


def translation(phrase: Phrase, code: str, languages: dict[str, Language]) -> str:
    """The phrase in the language with this code, English included."""
    return say_english(phrase) if code == "en" else say(phrase, languages[code])
