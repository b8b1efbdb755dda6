"""The lines of a certificate in Chinese with English beneath: one list for the PDF file and the page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from replay.certificates.certificate import Certificate

TITLE, TITLE_ENGLISH = "志愿服务记录证明", "Certificate of Volunteer Service"
SEAL_ENGLISH = "Recording organisation, seal and date"
FREE = "本证明依据《志愿服务记录与证明出具办法（试行）》免费出具。"
FREE_ENGLISH = "Issued free of charge under Order 67 of the Ministry of Civil Affairs."
CHECK = "扫码或凭编号向记录单位查验；附件含电子凭证，可离线验证。"
CHECK_ENGLISH = (
    "Check it by the code or the number. The attached credential can be verified offline with `hours verify`."
)
WITHHELD = "—"


class Line(NamedTuple):
    """One line: its name and its value in Chinese, and in English beneath; an empty text if nothing stands beneath."""

    name: str
    name_english: str
    value: str
    value_english: str = ""


def statement_of(certificate: Certificate) -> tuple[str, str]:
    """Return the sentence that a certificate certifies, in Chinese and in English."""
    issued = certificate.issued
    who = certificate.text("name") or f"志愿者编号 {issued.volunteer}"
    who_english = certificate.text("name") or f"volunteer {issued.volunteer}"
    organisation = issued.organisation_name or issued.organisation
    return (
        (
            f"兹证明 {who} 于{_period(certificate)}参加志愿服务，经{organisation}记录，"
            f"认定志愿服务时间共计 {hours(certificate.minutes)}。"
        ),
        (
            f"This certifies that {who_english} served as a volunteer in {_years(certificate)}, as recorded by "
            f"{organisation}, and was credited with {hours_english(certificate.minutes)} of service."
        ),
    )


def lines_of(certificate: Certificate) -> list[Line]:
    """Return the lines of a certificate, in their order."""
    issued, text = certificate.issued, certificate.text
    identity = " ".join(filter(None, (text("id_type"), text("id_number")))) or WITHHELD
    organisation = issued.organisation_name or issued.organisation
    split = f"签到签退 {hours(issued.scanned_minutes)}，补录 {hours(issued.attested_minutes)}"
    split_english = (
        f"{hours_english(issued.scanned_minutes)} from check-ins and check-outs, "
        f"{hours_english(issued.attested_minutes)} entered afterwards"
    )
    people = [text("handler"), text("contact")]
    lines = [
        Line("姓名", "Name", text("name") or WITHHELD),
        Line("证件类型及号码", "Identity document", identity),
        Line("志愿者编号", "Volunteer number", issued.volunteer),
        Line("服务期间", "Period", _period(certificate), _years(certificate)),
        Line(
            "志愿服务时间",
            "Hours of service",
            f"{hours(certificate.minutes)}（{split}）",
            f"{hours_english(certificate.minutes)}: {split_english}",
        ),
        Line("服务内容", "Content of service", text("content") or WITHHELD),
        Line("记录单位", "Recording organisation", organisation),
        Line("单位负责人", "Person in charge", text("in_charge") or WITHHELD),
        Line("经办人及联系方式", "Handler and contact", "  ".join(filter(None, people)) or WITHHELD),
    ]
    if remarks := text("remarks"):
        lines.append(Line("备注", "Remarks", remarks))
    return lines


def date_of(certificate: Certificate) -> str:
    """Return the date of issue in Chinese."""
    day = certificate.issued.issued_on
    return f"{day.year}年{day.month}月{day.day}日"


def basis_of(certificate: Certificate) -> str:
    """Return on what the hours rest, for whoever looks them up in the ledger."""
    issued = certificate.issued
    return (
        f"Hours as known at position {issued.evidence_position:,} of the ledger, under the rules "
        f"{issued.rules_digest[:16]}. Recorded at position {certificate.recorded.position:,}. "
        f"Digest of the record: {certificate.short_digest}."
    )


def hours(minutes: int) -> str:
    """Return minutes as hours and minutes in Chinese."""
    whole, rest = divmod(minutes, 60)
    return f"{whole} 小时" + (f" {rest} 分钟" if rest else "")


def hours_english(minutes: int) -> str:
    """Return minutes as hours and minutes in English."""
    whole, rest = divmod(minutes, 60)
    return f"{whole} h" + (f" {rest} min" if rest else "")


def instant(seconds: int) -> str:
    """Return an instant to the minute, in epoch seconds, with its zone."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _period(certificate: Certificate) -> str:
    first, last = certificate.issued.from_year, certificate.issued.to_year
    return f"{first}年" if first == last else f"{first}年至{last}年"


def _years(certificate: Certificate) -> str:
    first, last = certificate.issued.from_year, certificate.issued.to_year
    return str(first) if first == last else f"{first} to {last}"
