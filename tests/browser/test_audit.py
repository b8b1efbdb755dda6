"""Audit: the browser's own verification, the log, findings and samples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, Route, expect

from api.access.roles import Role
from api.pages.assets import asset_address
from api.pages.audit_words import KINDS
from replay.proof.notes import SignatureKind, SigningKey
from tests.support.browser.site import Site, bytes_of, violations

pytest_plugins = ["tests.support.browser.fixtures"]

VECTORS = json.loads((Path(__file__).parents[1] / "replay" / "proof" / "vectors" / "go.json").read_text())
OTHER_KEY = SigningKey("example.org/other", SignatureKind.ED25519, b"\7" * 32).verifier_key
_STATE = "convert_from(state, 'UTF8')"


@pytest.fixture(autouse=True)
def _signed(site: Site) -> None:
    site.served.ledger.tree.grow()


@pytest.fixture
def altered(site: Site) -> Iterator[int]:
    """An event whose actor was changed in the database; afterwards it is as before."""
    database, position = site.served.ledger.database, 9
    with database.pool.connection() as connection:
        (before,) = connection.execute(
            "SELECT state FROM ledger.stored_events WHERE notification_id = %s", (position,)
        ).fetchone() or (b"",)
        connection.execute(
            f'UPDATE ledger.stored_events SET state = replace({_STATE}, \'"by":"\', \'"by":"x\')::bytea '  # noqa: S608 - a constant of this file
            "WHERE notification_id = %s",
            (position,),
        )
    yield position
    with database.pool.connection() as connection:
        connection.execute("UPDATE ledger.stored_events SET state = %s WHERE notification_id = %s", (before, position))


def verified(page: Page) -> Page:
    page.locator("[data-run]").click()
    expect(page.locator("[data-run]")).to_be_enabled()
    return page


def states(page: Page) -> list[str | None]:
    """Return the state of each step: key, signature, event, consistency."""
    return [each.get_attribute("data-state") for each in page.locator("[data-step]").all()]


def test_an_untouched_event_is_proved_and_the_checkpoint_is_kept(site: Site) -> None:
    page = verified(site.page("/audit/events/3", Role.AUDITOR))
    expect(page.locator("[data-verdict]")).to_contain_text("Proved")
    expect(page.locator("[data-step=key]")).to_contain_text("Trusted on first use")
    expect(page.locator("[data-step=consistency]")).to_contain_text("Nothing was kept before")
    assert states(page) == ["fair", "good", "good", "good"]
    site.served.volunteer()
    site.served.ledger.tree.grow()
    page.goto("/audit")
    page.get_by_label("Event").first.fill("1")
    verified(page)
    expect(page.locator("[data-verdict]")).to_contain_text("Proved")
    expect(page.locator("[data-step=consistency]")).to_contain_text("continues the checkpoint")
    kept = json.loads(page.evaluate("localStorage.getItem('hours-audit')"))
    assert kept["checkpoint"]["size"] == site.served.ledger.log.head()


def test_a_key_that_the_auditor_gives_is_trusted_and_another_is_not(site: Site) -> None:
    published = site.served.get("/.well-known/service-hours-keys", role=None).json()
    key = next(each for each in published["generations"][-1]["keys"] if re.search(r"\+A[A-Za-z0-9+/]{43}$", each))
    page = site.page("/audit/events/3", Role.AUDITOR)
    page.locator("[data-trust] summary").click()
    page.get_by_label("Verifier key").fill(key[:-3] + "AAA")
    page.get_by_role("button", name="Trust this key").click()
    expect(page.get_by_role("alert")).to_contain_text("not an Ed25519 verifier key")
    page.get_by_label("Verifier key").fill(key)
    page.get_by_role("button", name="Trust this key").click()
    expect(page.locator("[data-trust]")).to_contain_text("given by you")
    assert states(verified(page)) == ["good", "good", "good", "good"]
    page.get_by_label("Verifier key").fill(str(OTHER_KEY))
    page.get_by_role("button", name="Trust this key").click()
    verified(page)
    expect(page.locator("[data-step=signature]")).to_contain_text("a different key")
    expect(page.locator("[data-verdict]")).to_contain_text("could not be verified")


def test_an_altered_event_is_shown_as_altered(site: Site, altered: int) -> None:
    page = verified(site.page(f"/audit/events/{altered}", Role.AUDITOR))
    expect(page.locator("[data-verdict]")).to_contain_text("Altered")
    assert states(page) == ["fair", "good", "bad", "good"]
    assert page.evaluate("localStorage.getItem('hours-audit')") is None
    page.goto(f"/audit/events/{altered + 1}")
    verified(page)
    expect(page.locator("[data-verdict]")).to_contain_text("Proved")


def test_history_that_was_rewritten_does_not_continue_what_was_kept(site: Site) -> None:
    page = verified(site.page("/audit/events/3", Role.AUDITOR))
    page.evaluate(
        "() => { const kept = JSON.parse(localStorage.getItem('hours-audit'));"
        " kept.checkpoint.size -= 2; kept.checkpoint.root = btoa('\\x07'.repeat(32));"
        " localStorage.setItem('hours-audit', JSON.stringify(kept)); }"
    )
    verified(page)
    expect(page.locator("[data-verdict]")).to_contain_text("Altered")
    assert states(page) == ["fair", "good", "good", "bad"]


def test_the_browsers_proofs_agree_with_those_of_another_program(site: Site) -> None:
    page = site.page("/audit", Role.AUDITOR)
    trees = [each for each in VECTORS if each["question"]["op"] == "tree" and each["question"]["size"] <= 600]
    wrong: list[Any] = page.evaluate(
        """async ([module, trees]) => {
        const proof = await import(module);
        const wrong = [];
        for (const { question, answer } of trees) {
            const { size, old, index, salt } = question;
            const leaves = await Promise.all(
                Array.from({ length: size }, (_, at) => proof.leafHash(new TextEncoder().encode(`${salt}/${at}`))));
            const levels = [leaves];
            while (levels.at(-1).length > 1) {
                const below = levels.at(-1), above = [];
                for (let at = 1; at < below.length; at += 2) above.push(await proof.nodeHash(below[at - 1], below[at]));
                levels.push(above);
            }
            const tile = async (level, name) => {
                const [number, width] = name.split(".p/");
                const all = levels[8 * level].slice(256 * number, 256 * number + Number(width ?? 256));
                return proof.concat(...all);
            };
            const hashes = proof.tileHashes(tile, size);
            const root = proof.fromBase64(answer.root), older = proof.fromBase64(answer.old_root);
            const path = answer.inclusion.map(proof.fromBase64), steps = answer.consistency.map(proof.fromBase64);
            const made = (await proof.consistencyProof(hashes, old, size)).map(proof.base64);
            const checks = [
                proof.base64(await proof.rootOf(hashes, size)) === answer.root,
                JSON.stringify(made) === JSON.stringify(answer.consistency),
                await proof.verifyInclusion(leaves[index], index, size, path, root).then(() => true),
                await proof.verifyConsistency(old, older, size, root, steps).then(() => true),
                await proof.verifyInclusion(root, index, size, path, root).then(() => size === 1, () => true),
                await proof.verifyConsistency(old, root, size, older, steps).then(() => old === size, () => true),
            ];
            if (!checks.every(Boolean)) wrong.push([question, checks]);
        }
        return wrong;
        }""",
        [asset_address("verify.js"), trees],
    )
    assert len(trees) > 20
    assert wrong == []


def test_the_browsers_signatures_agree_with_those_of_another_program(site: Site) -> None:
    page = site.page("/audit", Role.AUDITOR)
    signed = [each["answer"] for each in VECTORS if each["question"]["op"] == "sign"]
    told = page.evaluate(
        """async ([module, signed]) => {
        const proof = await import(module);
        const told = [];
        for (const { key, note } of signed) {
            const read = await proof.readKey(key);
            const verify = (text) =>
                proof.verifyCheckpoint(text, read).then((found) => found.size, (error) => error.code);
            told.push(await verify(note), await verify(note.replace("hours 3", "hours 4")));
        }
        return told;
        }""",
        [asset_address("verify.js"), signed],
    )
    assert told == [12, "wrong-signature"] * len(signed)


def test_the_log_is_browsed_and_searched(site: Site) -> None:
    page = site.page("/audit/log", Role.AUDITOR, language="zh")
    page.locator("select[name=kind]").select_option("checked-out.v1")
    page.locator("input[name=volunteer]").fill("V0000001")
    page.locator("input[name=after]").fill("0")
    page.locator("form.fields button").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("tbody a").first.click()
    expect(page.locator("h1")).to_contain_text("签退")
    expect(page.locator(".raw")).to_contain_text('"volunteer":"V0000001"')


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(site: Site, theme: Literal["light", "dark"]) -> None:
    page = verified(site.page("/audit/events/3", Role.AUDITOR, theme=theme))
    page.locator("[data-trust] summary").click()
    assert violations(page) == []
    for path in ("/audit", "/audit/log", "/audit/anomalies", "/audit/spot-check?seed=a-die&size=2"):
        page.goto(path)
        if path == "/audit":
            expect(page.locator(".kinds li")).to_have_count(len(KINDS))
        assert violations(page) == [], path


def test_findings_are_counted_after_the_page_is_there(site: Site) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = site.context(Role.AUDITOR, language="zh").new_page()
    page.route("**/audit/findings", hold)
    page.goto("/audit")
    expect(page.get_by_role("link", name="全部异常")).to_have_attribute("href", "/audit/anomalies")
    expect(page.locator(".kinds")).to_have_count(0)
    held[0].continue_()
    expect(page.locator(".kinds li")).to_have_count(len(KINDS))


def test_phone_and_chinese(site: Site) -> None:
    page = verified(site.page("/audit", Role.AUDITOR, language="zh", size="phone"))
    expect(page.locator("[data-verdict]")).to_contain_text("已证明")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_is_light(site: Site) -> None:
    sizes = bytes_of(site.page("/audit", Role.AUDITOR), "/audit")
    assert sum(sizes.values()) < 150_000, sizes
