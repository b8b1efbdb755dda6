// The button that verifies an event: fetches what the server has, and lets verify.js judge it. The trusted key and the
// last checkpoint are kept in this browser alone.

import * as proof from "./verify.js";

const KEPT = "hours-audit";
const CHECKPOINT = "/v1/log";
const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
const numbers = new Intl.NumberFormat(document.documentElement.lang);
const panel = document.querySelector("[data-verification]");

const kept = () => JSON.parse(localStorage.getItem(KEPT) ?? "null");
const keep = (value) => localStorage.setItem(KEPT, JSON.stringify(value));

function say(place, code, values = {}) {
  for (const each of place.querySelectorAll("[data-say]")) each.hidden = ![code].flat().includes(each.dataset.say);
  for (const each of place.querySelectorAll("[data-fill]")) if (each.dataset.fill in values) each.textContent = values[each.dataset.fill];
}

function step(name, state, code, values) {
  const place = panel.querySelector(`[data-step="${name}"]`);
  place.dataset.state = state;
  say(place, code, values);
}

function verdict(state, code) {
  const place = panel.querySelector("[data-verdict]");
  place.hidden = false;
  place.dataset.state = state;
  say(place, code);
}

function showTrust() {
  const trust = kept();
  const place = panel.querySelector("[data-trust]");
  say(place, trust ? ["kept", trust.how] : "none", trust ? { key: trust.vkey, since: format.format(new Date(trust.since)) } : {});
}

async function fetched(address, kind = "arrayBuffer") {
  const answer = await fetch(address, { cache: "no-store" });
  if (answer.status === 503 || answer.status === 404) throw new proof.VerificationError("not-covered");
  if (!answer.ok) throw new proof.VerificationError("failed", String(answer.status));
  return kind === "text" ? answer.text() : kind === "json" ? answer.json() : new Uint8Array(await answer.arrayBuffer());
}

/** Return the trust that is kept, or take the key over that the server publishes: trust on first use. */
async function trusted() {
  const trust = kept();
  if (trust) return trust;
  const published = await fetched("/.well-known/service-hours-keys", "json");
  for (const generation of published.generations.filter((one) => !one.stolen && one.last_size === null))
    for (const text of generation.keys) {
      const key = await proof.readKey(text);
      if (key.kind === 1) return { vkey: key.text, how: "first-use", since: new Date().toISOString(), checkpoint: null };
    }
  throw new proof.VerificationError("failed", "no key is published");
}

/** Compare a checkpoint with the one that was kept; return the one to keep. */
async function continued(trust, found) {
  const before = trust.checkpoint;
  const now = { size: found.size, root: proof.base64(found.root), at: new Date().toISOString(), note: found.note };
  if (!before) {
    step("consistency", "good", "first");
    return now;
  }
  const [older, newer] = before.size <= found.size ? [before, now] : [now, before];
  const tile = (level, index) => fetched(`${CHECKPOINT}/tile/${level}/${index}`);
  const hashes = proof.tileHashes(tile, newer.size);
  const path = await proof.consistencyProof(hashes, older.size, newer.size);
  await proof.verifyConsistency(older.size, proof.fromBase64(older.root), newer.size, proof.fromBase64(newer.root), path);
  step("consistency", "good", older === before ? "ok" : "older", { kept: format.format(new Date(before.at)), "kept-size": numbers.format(before.size) });
  return newer;
}

async function stage(name, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof proof.VerificationError) || ["failed", "not-covered"].includes(error.code)) throw error;
    step(name, "bad", error.code === "inconsistent" || error.code !== "altered" || name === "event" ? error.code : "malformed");
    throw Object.assign(error, { stage: name });
  }
}

async function verify(position) {
  const entry = await fetched(`/audit/events/${position}/entry`);
  const file = await fetched(`/audit/events/${position}/proof`, "text");
  const trust = await trusted();
  panel.querySelector("[data-steps]").hidden = false;
  const key = await stage("key", async () => {
    const found = await proof.readKey(trust.vkey);
    step("key", trust.how === "pasted" ? "good" : "fair", trust.how, { key: trust.vkey, since: format.format(new Date(trust.since)) });
    return found;
  });
  const checkpoint = await stage("signature", async () => {
    const found = await proof.verifyCheckpoint(proof.readProof(file).checkpoint, key);
    step("signature", "good", "ok", { size: numbers.format(found.size) });
    return { ...found, note: proof.readProof(file).checkpoint };
  });
  const errors = [];
  await stage("event", async () => {
    const found = await proof.verifyEvent(entry, position, file, key);
    step("event", "good", "ok", { leaf: proof.hex(found.leaf) });
  }).catch((error) => errors.push(error));
  const newest = await stage("consistency", () => continued(trust, checkpoint)).catch((error) => errors.push(error) && null);
  if (errors.length) throw errors[0];
  keep({ ...trust, checkpoint: newest });
  showTrust();
}

panel.querySelector("[data-verify]").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!globalThis.crypto?.subtle) return verdict("bad", "insecure");
  const button = panel.querySelector("[data-run]");
  button.disabled = true;
  panel.querySelector("[data-steps]").hidden = true;
  for (const each of panel.querySelectorAll("[data-step]")) {
    delete each.dataset.state;
    say(each, null, { leaf: "", key: "" });
  }
  verdict("working", "working");
  try {
    await verify(Number(new FormData(event.target).get("position")));
    verdict("good", "proved");
  } catch (error) {
    const told = ["not-covered", "failed"].includes(error.code) ? error.code : null;
    const isAltered = ["altered", "inconsistent", "wrong-signature"].includes(error.code);
    if (told || !error.code) verdict("fair", ["unverified", told ?? "failed"]);
    else verdict("bad", isAltered ? "altered" : "unverified");
  } finally {
    button.disabled = false;
  }
});

panel.querySelector("[data-key]").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = event.target.querySelector("[data-say]");
  try {
    const key = await proof.readKey(new FormData(event.target).get("key"));
    if (key.kind !== 1) throw new proof.VerificationError("not-a-key");
    const trust = kept();
    const checkpoint = trust?.vkey === key.text ? trust.checkpoint : null;
    keep({ vkey: key.text, how: "pasted", since: new Date().toISOString(), checkpoint });
    event.target.reset();
    showTrust();
  } catch {
    wrong.hidden = false;
  }
});

panel.querySelector("[data-forget]").addEventListener("click", () => {
  localStorage.removeItem(KEPT);
  showTrust();
});

showTrust();
