"""Chinese and English: which one a reader gets, and the texts. English is written in the templates and is the key.

Translations are PO files, one for the texts of the frame and one for each page. They are read when the program starts;
there is no step that compiles them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from babel import Locale
from babel.messages.pofile import read_po
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

COOKIE = "lang"
LANGUAGES = {"zh": Locale.parse("zh_Hans_CN"), "en": Locale("en")}
TRANSLATIONS = Path(__file__).parent / "translations"


Gettext = Callable[[str], str]
"""Returns a text in the reader's language."""


def marked(text: str) -> str:
    """Mark a text for translation, where it stands and is not yet shown; modules import this as `_`."""
    return text


class Texts:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = LANGUAGES[language]
        self._texts: dict[str, str] = {}
        for path in sorted((TRANSLATIONS / language).glob("*.po")):
            with path.open("rb") as file:
                self._texts |= {
                    str(message.id): str(message.string) for message in read_po(file) if message.id and message.string
                }

    def gettext(self, text: str) -> str:
        """Return a text in this language; the English text if it has no translation."""
        return self._texts.get(text, text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Return the text for a number. Chinese has one form, which translates the plural."""
        if self.language == "zh":
            return self.gettext(many)
        return one if number == 1 else many

    def knows(self, text: str) -> bool:
        """Return whether there is a translation."""
        return text in self._texts


@cache
def texts_of(language: str) -> Texts:
    """Return the texts of a language."""
    return Texts(language)


def language_of(headers: Headers) -> str:
    """Return the reader's language: as chosen on a page, otherwise as the browser prefers; English if it names none."""
    chosen = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    if chosen in LANGUAGES:
        return chosen
    wanted: list[tuple[float, str]] = []
    for part in headers.get("accept-language", "")[:200].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), name[:2].lower()))
        except ValueError:
            continue
    return next((name for _, name in sorted(wanted, key=lambda each: each[0]) if name in LANGUAGES), "en")


def texts_for(headers: Headers) -> Texts:
    """Return the texts in the language of a request's reader."""
    return texts_of(language_of(headers))
