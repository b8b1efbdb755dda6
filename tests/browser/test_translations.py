"""Every text of the pages has a Chinese translation, and every translation has its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import api.pages
from api.messages.problems import RULES
from api.pages.languages import TRANSLATIONS
from api.pages.refusals import SENTENCES
from api.pages.rendering import menu_titles
from ledger.rejections import Rejection

PAGES = Path(api.pages.__file__).parent


def texts() -> Iterator[tuple[str, str]]:
    """Yield each text with the file that it stands in."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    options = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
    for name, _, text, _, _ in extract_from_dir(
        str(PAGES), methods, options, keywords={"_": None, "gettext": None, "text_for": (2,), "ngettext": (1, 2)}
    ):
        for each in (text,) if isinstance(text, str) else text[1:]:
            yield name, each
    for title in menu_titles():
        yield "rendering.py", title


def test_every_text_is_translated() -> None:
    known: dict[str, str] = {}
    for path in sorted((TRANSLATIONS / "zh").glob("*.po")):
        with path.open("rb") as file:
            added = {str(message.id): str(message.string) for message in read_po(file) if message.id}
        assert sorted(set(known) & set(added)) == [], f"{path.name} repeats a text of another file"
        known |= added
    found = {text: name for name, text in texts()}
    assert {text: name for text, name in found.items() if not known.get(text)} == {}
    assert sorted(set(known) - set(found)) == []
    for text, translated in known.items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translated)), text


def test_every_refusal_that_a_page_can_show_has_a_sentence() -> None:
    """Those of the protocol are met by programs alone."""
    of_protocol = {"headers-too-large", "no-such-address", "not-acceptable", "not-http", "too-many-connections"}
    of_protocol |= {"url-too-long", "wrong-media-type", "wrong-method"}
    assert {rejection.code for rejection in Rejection} | set(RULES) - of_protocol == set(SENTENCES)
