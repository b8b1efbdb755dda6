"""Rules that would take long to parse or to check, by what is too much in them, for tests of every way in."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count

HEAD = 'name = "x"\ntime_zone = "Asia/Shanghai"\n'
MINUTES = "day_minutes_max = 480\nshift_minutes_min = 1\nshift_minutes_max = 480\n"
HONOR = '[[rule_sets.honors]]\nid = "h@"\ntitle = "x"\ncredited_minutes_min = 1\n'
WINDOW = '[[rule_sets.factors]]\nname = "w@"\npercent = 120\nminute_from = 60\nminute_until = 120\n'


def rule_sets(number: int, *tables: str) -> str:
    """Return rules with a number of rule sets, each with these tables; @ becomes another number in each table."""
    numbers, text = count(), HEAD
    for place in range(number):
        day = date(2000, 1, 1) + timedelta(days=place)
        text += f"[[rule_sets]]\nholds_from = {day}\n{MINUTES}"
        text += "".join(table.replace("@", str(next(numbers))) for table in tables)
    return text


PARTS = ["a"] * 14_000
UNREADABLE = {
    "dotted key": ".".join(PARTS) + " = 1",
    "dotted key with blanks": " . ".join(PARTS) + " = 1",
    "dotted key in quotation marks": ".".join(['"a"'] * 14_000) + " = 1",
    "dotted key in apostrophes": ".".join(["'a'"] * 14_000) + " = 1",
    "dotted key after sound rules": rule_sets(1) + ".".join(PARTS) + " = 1",
    "dotted header": "[" + ".".join(PARTS) + "]",
    "dotted header of an array": "[[" + ".".join(PARTS) + "]]",
    "dotted key in an inline table": "a = { " + ".".join(PARTS) + " = 1 }",
    "arrays within arrays": "a = " + "[" * 30_000,
    "arrays within arrays, closed": "a = " + "[" * 400 + "]" * 400,
    "inline tables within inline tables": "a = " + "{ a = " * 30_000,
    "arrays and inline tables by turns": "a = " + "[{ a = " * 200 + "1" + "}]" * 200,
    "long array": "a = [" + "1," * 100_000 + "]",
    "many tables": "[[a]]\n" * 20_000,
    "many keys": "".join(f"k{number} = 1\n" for number in range(20_000)),
    "many lines": "\n" * 100_000,
    "long string": 'a = "' + "x" * 200_000 + '"',
    "long string of several lines": 'a = """' + "\\n" * 100_000 + '"""',
    "long string in apostrophes": "a = '''" + "x\n" * 100_000 + "'''",
    "strings that are not closed": 'a = """' + '\n\\"""' * 40_000,
    "string that is not closed": 'a = "' + '\\"' * 100_000,
    "apostrophes that are not closed": "a = '''" + "\n''" * 80_000,
    "number of 5,000 digits": "a = " + "9" * 5_000,
    "hexadecimal number of 5,000 digits": "a = 0x" + "f" * 5_000,
    "long bare key": "a" * 100_000 + " = 1",
    "long text": "#" + "x" * 900_000,
    "long text in other characters": "#" + "时" * 100_000,
}
"""Texts that must be refused before they are parsed."""
UNCHECKABLE = {
    "many rule sets": rule_sets(101),
    "many windows in one set": rule_sets(1, *[WINDOW] * 401),
    "many windows in several sets": rule_sets(50, *[WINDOW] * 9),
    "many honours": rule_sets(2, *[HONOR] * 51),
}
"""Timelines that can be parsed, but must be refused before they are checked."""
