"""A certificate as a page to print: one HTML document without scripts or other files, for one A4 sheet.

It says what the PDF file says, from the same list of lines. All values are escaped. `POLICY` allows the page its own
style and nothing else. The page carries no proof: whoever has to verify it asks by the code, or for the PDF file.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from replay.certificates import wording
from replay.certificates.certificate import Certificate
from replay.certificates.typesetting import code_svg

_STYLE = """
@page { size: A4; margin: 11mm; }
body { font: 11pt/1.45 "Noto Serif CJK SC", "Source Han Serif SC", "Noto Serif SC", SimSun, serif; color: #1c1c1c;
  background: #fff; margin: 0 auto; max-width: 188mm; }
main { border: .6mm solid #a3201d; outline: .2mm solid #a3201d; outline-offset: -1.8mm; padding: 11mm 13mm; }
.no { text-align: right; } .no b, h1 { color: #a3201d; font-weight: normal; }
h1 { font-size: 27pt; letter-spacing: 1.5mm; text-align: center; margin: 5mm 0 0; }
.en { font: 8pt/1.3 "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #5f5f5f; display: block; }
h1 + .en { font-size: 11pt; text-align: center; margin-bottom: 6mm; }
.says { font-size: 12pt; text-indent: 2em; margin: 0; } .says + .en { margin: 1mm 0 5mm; }
table { border-collapse: collapse; width: 100%; }
th, td { border: .2mm solid #8a8a8a; padding: 1.8mm 3mm; font-weight: normal; text-align: left; }
th { width: 36mm; text-align: center; }
footer { display: grid; grid-template-columns: 31mm 1fr 60mm; gap: 4mm; align-items: end; margin-top: 10mm; }
svg { width: 31mm; height: 31mm; } .small { font-size: 8pt; }
.seal { border: .25mm dashed #d8b4b3; border-radius: 50%; width: 41mm; height: 41mm; margin: 0 auto; display: grid;
  place-content: center; text-align: center; }
.basis { border-top: .15mm solid #b0b0b0; margin-top: 5mm; padding-top: 1mm; }
@media print { body { max-width: none; } }
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""


def as_page(certificate: Certificate) -> str:
    """Return a certificate as an HTML document."""
    chinese, english = wording.statement_of(certificate)
    organisation = certificate.issued.organisation_name or certificate.issued.organisation
    rows = "".join(_row(line) for line in wording.lines_of(certificate))
    return f"""<!DOCTYPE html>
<html lang="zh-CN">
<head><meta charset="utf-8"><title>{wording.TITLE} {_text(certificate.number)}</title>
<style>{_STYLE}</style></head>
<body><main>
<div class="no">编号 <b>{_text(certificate.number)}</b></div>
<h1>{wording.TITLE}</h1>
{_english(wording.TITLE_ENGLISH)}
<p class="says">{_text(chinese)}</p>
{_english(english)}
<table>
{rows}</table>
<footer>
{code_svg(certificate.code)}
<div class="small">{wording.CHECK}{_english(wording.CHECK_ENGLISH)}{wording.FREE}{_english(wording.FREE_ENGLISH)}</div>
<div class="seal"><div>{_text(organisation)}{_english(wording.SEAL_ENGLISH)}{wording.date_of(certificate)}</div></div>
</footer>
<div class="basis">{_english(wording.basis_of(certificate))}</div>
</main></body>
</html>
"""


def _row(line: wording.Line) -> str:
    beneath = _english(line.value_english) if line.value_english else ""
    name = f"{_text(line.name)}{_english(line.name_english)}"
    return f"<tr><th>{name}</th><td>{_text(line.value)}{beneath}</td></tr>\n"


def _english(text: str) -> str:
    return f'<span class="en" lang="en">{_text(text)}</span>'


def _text(value: str) -> str:
    return escape(value, quote=True)
