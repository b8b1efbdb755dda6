"""Limits of new rules: the size and the shape of a text before it is parsed, and of a timeline before it is checked.

The time to parse TOML grows with the square or the cube of the number of parts of a dotted key, and the time to check
rules with the product of their rule sets, windows and honours. Callers choose all of these, so each is bounded. The
text is examined token by token, in time proportional to its length, and only up to the first limit that it exceeds.

Rules that were published before are not examined: they stay readable whatever their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from projections.rules.errors import Finding
from projections.rules.timeline import RuleTimeline
from projections.rules.toml_places import Token, tokens_of

BYTES_MAX: Final = 256 << 10
"""The federation's own rules take 7 KiB."""
TOKENS_MAX: Final = 20_000
"""Words, signs and lines; the federation's own rules have about a thousand."""
NESTING_MAX: Final = 8
"""Brackets within brackets; rules need three."""
KEY_PARTS_MAX: Final = 8
"""Parts of a dotted key; rules need four."""
WORD_CHARACTERS_MAX: Final = 100
STRING_CHARACTERS_MAX: Final = 1_000
RULE_SETS_MAX: Final = 100
WINDOWS_MAX: Final = 400
"""Windows of all rule sets together."""
HONORS_MAX: Final = 100
"""Different honours of all rule sets together; as many rankings."""


def text_exceeds(text: str, whole: str = "timeline") -> Finding | None:
    """Return the first limit that a text exceeds, as an error; None if it may be parsed.

    Args:
        whole: the name of the whole text in the finding.
    """
    if (size := len(text.encode("utf-8", "surrogatepass"))) > BYTES_MAX:
        sentence = f"the text has {size:,} bytes, more than {BYTES_MAX:,}"
        return Finding(1, whole, "error", sentence, "shorten it")
    depth = parts = 0
    for number, token in enumerate(tokens_of(text), 1):
        depth += _nesting(token)
        parts = _key_parts(token, parts)
        found = _exceeds(token, number, depth, parts)
        if found is not None:
            return Finding(token.line, whole, "error", *found)
    return None


def _nesting(token: Token) -> int:
    """Return how a token changes the nesting of brackets."""
    if token.kind != "sign":
        return 0
    return (token.text in "[{") - (token.text in "]}")


def _key_parts(token: Token, parts: int) -> int:
    """Return the number of parts of the dotted key that a token continues or begins."""
    if token.kind == "sign":
        return parts if token.text == "." else 0
    return 0 if token.kind == "newline" else parts + 1


def _exceeds(token: Token, number: int, depth: int, parts: int) -> tuple[str, str] | None:
    """Return the sentence and the remedy of the limit that a token exceeds."""
    if number > TOKENS_MAX:
        return f"the text has more than {TOKENS_MAX:,} words, signs and lines", "remove what is not needed"
    if depth > NESTING_MAX:
        return f"the brackets are nested more than {NESTING_MAX} deep", "remove brackets"
    if parts > KEY_PARTS_MAX:
        return f"a dotted key has more than {KEY_PARTS_MAX} parts", "shorten it"
    if token.kind == "sign" and token.text in "\"'":
        return "the text is not TOML: a string is not closed", "close it with a quotation mark"
    what, characters_max = _CHARACTERS_MAX.get(token.kind, ("", BYTES_MAX))
    if len(token.text) > characters_max:
        return f"a {what} has {len(token.text):,} characters, more than {characters_max:,}", "shorten it"
    return None


_CHARACTERS_MAX: Final = {"bare": ("key or number", WORD_CHARACTERS_MAX), "text": ("string", STRING_CHARACTERS_MAX)}


def timeline_exceeds(timeline: RuleTimeline) -> Iterator[Finding]:
    """Yield the limits that a timeline exceeds, as errors."""
    sets = timeline.rule_sets
    counts = (
        ("rule sets", len(sets), RULE_SETS_MAX),
        ("windows", sum(len(rule_set.factors) for rule_set in sets), WINDOWS_MAX),
        ("honours", len({honor.id for rule_set in sets for honor in rule_set.honors}), HONORS_MAX),
        ("rankings", len({ranking.id for rule_set in sets for ranking in rule_set.rankings}), HONORS_MAX),
    )
    for what, count, count_max in counts:
        if count > count_max:
            sentence = f"the timeline has {count:,} {what}, more than {count_max}"
            yield Finding(1, "rule_sets", "error", sentence, "combine some of them")
