"""Every command of the pages about records and honours runs, and prints what the page shows.

They share one demonstration, in this order. The README, the tour and the pages about the service continue another copy
of it (tests/pages/test_readme.py), so that two processes share the work.
"""

from __future__ import annotations

from tests.support.pages.readme import ROOT, Shell, run_page

pytest_plugins = ["tests.support.pages.demonstration"]


def test_an_officer_gives_honours_and_takes_one_back(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "honors.md").read_text("utf-8"), port) == 15


def test_organisations_are_shown_and_moved(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "organisations.md").read_text("utf-8"), port) == 13


def test_a_volunteer_sees_the_own_record(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "volunteers.md").read_text("utf-8"), port) == 13


def test_a_certificate_is_issued_verified_and_revoked(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "certificates.md").read_text("utf-8"), port) == 9


def test_an_auditor_looks_for_anomalies_and_draws_a_sample(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "auditors.md").read_text("utf-8"), port) == 6


def test_a_corrector_requests_and_another_approves(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "corrections.md").read_text("utf-8"), port) == 27


def test_a_year_in_luohu_can_be_walked_through(shell: Shell, port: int) -> None:
    assert run_page(shell, (ROOT / "docs" / "luohu.md").read_text("utf-8"), port) == 62
