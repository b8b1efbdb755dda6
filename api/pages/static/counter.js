// The counter. One scan does the right thing: who is not here is checked in, who is here is checked out. Scans are kept
// and sent by counter_scans.js; this file decides and shows.

const root = document.querySelector("#counter");
const { station, zone } = root.dataset;
const texts = JSON.parse(document.querySelector("#texts").textContent);
const language = document.documentElement.lang;
const { idb, scans: scansAddress, signing } = root.dataset;
const [{ openDB }, scanning, { Signer }] = await Promise.all([import(idb), import(scansAddress), import(signing)]);

const HELD_SECONDS = 6; // so long a scan that decided by itself can be turned
const DOUBLE_SECONDS = 15; // the same code again within this time is the same scan
const NIGHT_ENDS_AT = 6; // as in api/pages/routes/counter.py
const NIGHT_SECONDS = 12 * 3600;
const CLOCK_OFF_SECONDS = 90;
const RETRY_SECONDS = [2, 4, 8, 15]; // after failures in a row
const REFRESH_SECONDS = 300;
const NUMBER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const PERSONAL = /^(86)?1[3-9]\d{9}$|^\d{17}[\dXx]$/; // a phone or an identity number, which is not even kept

const scans = await scanning.Scans.open(openDB, station);
const signer = await Signer.open(scans, root.dataset);
if (signer?.isRegistered) scans.signer = signer;
navigator.storage?.persist?.();

const one = (selector) => document.querySelector(selector);
const field = one("#number");
const project = one("#project");
const result = one("#result");
const instead = one("#result .instead");
const isTouched = matchMedia("(pointer: coarse)").matches;

const text = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
const seconds = () => Math.floor(Date.now() / 1000);
const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
const time = (at) => clock.format(at * 1000);
const day = (at) => new Intl.DateTimeFormat(language, { month: "long", day: "numeric", timeZone: zone }).format(at * 1000);
const hours = (minutes) => `${Math.floor(minutes / 60).toLocaleString(language)}:${String(minutes % 60).padStart(2, "0")}`;

function duration(length) {
  const minutes = Math.max(Math.floor(length / 60), 0);
  return minutes < 60 ? text("minutes", { m: minutes }) : text("duration", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

// Who checked in before this is not here any more: the check-out was forgotten.
function dayBegin() {
  const now = seconds();
  const parts = new Intl.DateTimeFormat("en", { hour: "numeric", minute: "numeric", second: "numeric", hourCycle: "h23", timeZone: zone });
  const [hour, minute, second] = parts.formatToParts(now * 1000).filter(({ type }) => type !== "literal").map(({ value }) => Number(value));
  return hour < NIGHT_ENDS_AT ? now - NIGHT_SECONDS : now - hour * 3600 - minute * 60 - second;
}

function element(name, { text: content, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  if (content !== undefined) made.textContent = content;
  made.append(...children);
  return made;
}

// --- a scan ---

let shown = null; // the scan in the panel, and who was here before it

async function scan(given, way = null) {
  const volunteer = given.normalize("NFKC").trim();
  field.value = "";
  if (!volunteer) {
    one("#hint").textContent = text("empty");
    return field.focus();
  }
  if (!NUMBER.test(volunteer) || PERSONAL.test(volunteer)) return show("bad", text("wrong"), "", text("wrong_more")); // it may be a key: never shown
  try {
    const last = await scans.last(volunteer);
    const isSame = last && last.state !== "refused" && (!way || way === last.way);
    if (isSame && seconds() - last.at < DOUBLE_SECONDS && last.at <= seconds()) {
      shown = { ...shown, id: last.id };
      show("again", text(`just_${last.way}`), volunteer, text("just_more"));
      if (!last.tried) offer(last);
      return;
    }
    const before = (await scans.here(dayBegin())).get(volunteer);
    const chosen = way ?? (before ? "check-out" : "check-in");
    const isOdd = way === "check-in" && Boolean(before); // here already: perhaps the check-out was forgotten, perhaps it is meant
    const heldSeconds = !way || isOdd ? HELD_SECONDS : 0;
    const kept = await scans.add(chosen, volunteer, { shift: before?.shift, project: project?.value, heldSeconds });
    await taken(kept, before);
    if (heldSeconds) offer(kept);
    if (!way) rehearse(kept);
    else if (isOdd) addLine(kept, text("was_here", { time: time(before.since) }), "forgotten");
    else if (way === "check-out" && !before) addLine(kept, text("no_check_in"), "forgotten");
    else if (way === "check-in") remind(kept);
  } catch (error) {
    show("bad", text("failed"), volunteer, text("failed_more"));
    throw error;
  }
  pump();
}

async function taken(kept, before) {
  shown = { id: kept.id, before };
  let more = "";
  if (kept.way === "check-out" && before) more = duration(kept.at - before.since);
  if (kept.way === "check-in" && kept.project) more = text("of_project", { project: project.selectedOptions[0].text });
  show(kept.way, text(kept.way, { time: time(kept.at) }), kept.volunteer, more);
  await list();
}

function offer(kept) {
  instead.textContent = text(`instead_${kept.way === "check-in" ? "check-out" : "check-in"}`);
  instead.hidden = false;
}

// Finds out at once what the ledger will say. A number that nobody has is not held back, so that its refusal is seen; and
// if the volunteer came or went at another tablet, the scan is turned.
async function rehearse(kept) {
  const [said, known] = await Promise.all([scans.rehearse(kept), scans.volunteer(kept.volunteer)]);
  if (said.how !== "answered") {
    state = said.how;
    await status();
    addLine(kept, text("kept"));
  } else if (said.problem || said.data.answers[0].outcome === "refused") {
    await scans.release(kept.id);
    pump();
  } else if (known) {
    const isWrong = (kept.way === "check-in") === Boolean(known.here) && (await scans.areKnown(kept.volunteer, known.position, kept.id));
    const turned = isWrong && (await turn(kept, known.here, HELD_SECONDS));
    const line = text((turned || kept).way === "check-out" ? "before" : "so_far", { hours: hours(known.minutes) });
    addLine(turned || kept, line);
    remind(turned || kept, known);
  }
}

// Says that an earlier check-out is missing: its volunteer is here, and knows when the shift ended.
async function remind(kept, said) {
  const known = said ?? (await scans.volunteer(kept.volunteer));
  if (known?.forgotten && kept.way === "check-in") addLine(kept, text("forgotten", { day: day(known.forgotten) }), "forgotten");
}

// A number that nobody has may lack its letters or zeros, or have small letters: offers the one that was meant.
async function suggest(kept) {
  const patterns = [...(await scans.here(dayBegin())).keys(), ...(await scans.inState("sent")).map(({ volunteer }) => volunteer)];
  const [, letters, digits] = patterns.map((number) => number.match(/^(\D+)(\d+)$/)).find(Boolean) ?? [];
  const padded = letters && /^\d+$/.test(kept.volunteer) ? letters + kept.volunteer.padStart(digits.length, "0") : null;
  for (const number of new Set([kept.volunteer.toUpperCase(), padded])) {
    if (!number || number === kept.volunteer || !(await scans.volunteer(number))) continue;
    if (shown?.id !== kept.id) return;
    shown.meant = { number, way: kept.way };
    instead.textContent = text(`meant_${kept.way}`, { number });
    instead.hidden = false;
    return;
  }
}

async function turn({ id, way }, present, heldSeconds) {
  const shift = present && (await scans.madeHere(present.shift)) ? present.shift : null;
  const turned = await scans.turn(id, way, { shift, project: project?.value, heldSeconds });
  if (turned && shown?.id === id) {
    await taken(turned, present);
    if (heldSeconds) offer(turned);
  }
  return turned;
}

function addLine(kept, words, kind = "hours") {
  if (shown?.id !== kept.id || !result.classList.contains(kept.way)) return;
  const more = result.querySelector(".more");
  let place = more.querySelector(`.${kind}`);
  if (!place) more.append((place = element("span", { className: kind })));
  place.textContent = words;
}

function show(kind, what, whom, more) {
  result.className = `result ${kind}`;
  result.querySelector(".what").textContent = what;
  result.querySelector(".whom").textContent = whom;
  result.querySelector(".more").replaceChildren(element("span", { text: more }));
  instead.hidden = true;
  hint();
  if (!isTouched) field.focus();
  else result.scrollIntoView({ block: "nearest" }); // the keyboard of a tablet has pushed it away
}

instead.addEventListener("click", async () => {
  instead.hidden = true;
  if (shown.meant) {
    const { number, way } = shown.meant;
    await scans.putAside(shown.id);
    return scan(number, way);
  }
  await turn(await scans.get(shown.id), shown.before, 0);
  pump();
});

// --- sending, and what the ledger says ---

let state = "online"; // or "offline", "busy", "signed-out", "must-sign"
let failures = 0;
let timer = null;
let refreshed = 0;
let running = Promise.resolve();
let isQueued = false;

// Sends what waits, looks who is here, and sets the time at which to do so again. One run at a time, and one that waits.
function pump() {
  if (isQueued) return;
  isQueued = true;
  running = running.then(run, run);
}

async function run() {
  isQueued = false;
  clearTimeout(timer);
  let said = await scans.send();
  const isIdle = said.how === "sent";
  const wasAway = state !== "online";
  if (isIdle && (wasAway || seconds() - refreshed >= REFRESH_SECONDS)) {
    said = await scans.refresh();
    if (said.how === "answered") refreshed = seconds();
  }
  state = said.how === "sent" || said.how === "answered" ? "online" : said.how;
  if (state === "must-sign" && signer) scans.signer = signer; // from now on; it may be registered at any time
  await Promise.all([status(), list(), refusals(), panel()]);
  clearTimeout(timer);
  timer = setTimeout(pump, (await pause(said)) * 1000);
}

// How many seconds to wait: until a scan is held no more, or the ledger may answer again, or the list is old.
async function pause(said) {
  const waiting = await scans.inState("waiting");
  const holding = waiting.map((scan) => scan.heldUntil - seconds()).filter((left) => left > 0);
  const mustWait = waiting.length > holding.length;
  failures = state === "online" && !mustWait ? 0 : failures + 1;
  const retry = Math.max(RETRY_SECONDS[Math.min(failures, RETRY_SECONDS.length) - 1] ?? REFRESH_SECONDS, said.after ?? 0);
  return Math.max(Math.min(retry, ...holding), 1);
}

// The scan in the panel: refused, or recorded and its hours counted.
async function panel() {
  const kept = shown && (await scans.get(shown.id));
  if (!kept) return;
  if (kept.tried && (result.classList.contains(kept.way) || result.classList.contains("again"))) instead.hidden = true;
  if (kept.state === "refused" && result.classList.contains(kept.way)) {
    show("bad", text("failed"), kept.volunteer, reason(kept));
    if (kept.rejection === "unknown-volunteer") suggest(kept);
  } else if (kept.state === "sent" && kept.way === "check-out" && !shown.isCounted) {
    shown.isCounted = true;
    scans.volunteer(kept.volunteer, kept.position).then((known) => {
      if (known) addLine(kept, text("so_far", { hours: hours(known.minutes) }));
    });
  }
}

async function status() {
  const waiting = (await scans.inState("waiting")).length;
  const isStopped = state === "signed-out" || state === "must-sign";
  const network = one("#network");
  network.className = `network ${state === "online" ? "online" : "away"}`;
  network.querySelector("strong").textContent = text(isStopped ? "stopped" : state);
  const sent = waiting === 0 ? text("all_sent") : waiting === 1 ? text("waiting_one") : text("waiting", { n: waiting });
  network.querySelector(".sent").textContent = sent;
  network.dataset.waiting = waiting;
  const trouble = one("#trouble");
  trouble.hidden = !isStopped;
  if (isStopped) trouble.querySelector("span").textContent = text(state);
  trouble.querySelector("a").hidden = state !== "signed-out";
  if (scans.signer && state === "online") one("#signature .state").textContent = text("signed");
  const ahead = scanning.aheadSeconds;
  const off = one("#clock-off");
  off.hidden = ahead === null || Math.abs(ahead) < CLOCK_OFF_SECONDS;
  if (!off.hidden) off.textContent = text(ahead > 0 ? "fast" : "slow", { minutes: Math.round(Math.abs(ahead) / 60) });
  const others = await scans.ofOthers();
  one("#others").hidden = !others.length;
  if (others.length) one("#others").textContent = text("others", { n: others.length, station: others[0].station });
}

const reason = ({ rejection }) => texts[`reason_${rejection}`] ?? text("reason_other");

async function refusals() {
  const refused = await scans.inState("refused");
  const part = one("#refused");
  part.hidden = !refused.length;
  part.querySelector(".badge").textContent = refused.length;
  part.querySelector("ul").replaceChildren(
    ...refused.reverse().map((scan) => {
      const again = element("button", { type: "button", className: "plain", text: text("send_again") });
      again.addEventListener("click", async () => pump(await scans.again(scan.id)));
      const aside = element("button", { type: "button", className: "plain", text: text("put_aside") });
      aside.addEventListener("click", async () => pump(await scans.putAside(scan.id)));
      const known = Boolean(texts[`reason_${scan.rejection}`]);
      return element(
        "li",
        {},
        element("p", {}, element("strong", { text: scan.volunteer }), ` ${text(`way_${scan.way}`)} · ${time(scan.at)}`),
        element("p", { className: "reason", text: known ? reason(scan) : `${reason(scan)} (${scan.detail})` }),
        element("p", { className: "buttons" }, ...(scan.retry ? [again] : []), aside),
      );
    }),
  );
}

// --- who is here ---

async function list() {
  const found = [...(await scans.here(dayBegin()))].sort(([, first], [, second]) => second.since - first.since);
  one("#here-count").textContent = found.length;
  const rows = found.map(([volunteer, { since }]) => {
    const out = element("button", { type: "button", className: "plain", text: text("check_out"), ariaLabel: text("check_out_of", { number: volunteer }) });
    out.addEventListener("click", () => scan(volunteer, "check-out"));
    const times = `${text("since", { time: time(since) })} · ${duration(seconds() - since)}`;
    return element("li", {}, element("strong", { text: volunteer }), element("span", { text: times }), out);
  });
  one("#here").replaceChildren(...(rows.length ? rows : [element("li", { className: "nobody", text: text("nobody") })]));
  const known = await scans.setting(`here:${station}`);
  const isOld = known && state !== "online";
  one("#as-of").hidden = !isOld;
  if (isOld) one("#as-of").textContent = text("as_of", { time: time(known.at) });
}

// The buttons follow the number in the field.
async function hint() {
  const volunteer = field.value.normalize("NFKC").trim();
  const present = volunteer ? (await scans.here(dayBegin())).get(volunteer) : undefined;
  for (const button of document.querySelectorAll(".way")) {
    const isNext = (button.dataset.way === "check-out") === Boolean(present);
    button.classList.toggle("next", Boolean(volunteer) && isNext);
  }
  const words = present ? text("is_here", { time: time(present.since) }) : text("not_here");
  one("#hint").textContent = NUMBER.test(volunteer) ? `${volunteer} ${words}` : "";
}

// --- keys, buttons, the browser ---

field.addEventListener("input", hint);
// With a Chinese input method the Enter of a scanner ends the composition first.
let endsWithEnter = false;
field.addEventListener("keydown", (event) => {
  const isEnter = event.key === "Enter" || event.code === "Enter";
  if (!isEnter) return;
  if (event.isComposing) endsWithEnter = true;
  else {
    event.preventDefault();
    scan(field.value);
  }
});
field.addEventListener("compositionend", () => {
  if (endsWithEnter) setTimeout(() => scan(field.value));
  endsWithEnter = false;
});
one("#scan").addEventListener("submit", (event) => event.preventDefault());
for (const button of document.querySelectorAll(".way")) {
  button.addEventListener("click", () => scan(field.value, button.dataset.way));
}
// A scanner types wherever the focus is: its first character brings the focus back.
document.addEventListener("keydown", (event) => {
  const isTyped = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (isTyped && !event.target.closest("input, select, textarea")) field.focus();
});
project?.addEventListener("change", () => scans.set("project", project.value));
addEventListener("online", () => pump((failures = 0)));
addEventListener("offline", pump);
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState === "hidden") await scans.releaseAll(); // nobody is there to turn them
  pump();
});

if (project) project.value = (await scans.setting("project")) ?? "";
if (project && project.selectedIndex < 0) project.value = "";
await scans.releaseAll();
if (signer) {
  one("#signature pre").textContent = signer.pem;
  one("#signature").hidden = false;
}
const tick = () => (one("#network .clock").textContent = time(seconds()));
tick();
setInterval(tick, 5000);
setInterval(list, 60_000);
await list();
pump();
root.dataset.ready = "true";

if (root.dataset.camera) {
  const { watch } = await import(root.dataset.camera);
  watch(root.dataset, one(".camera"), scans, texts, scan);
}
if ("serviceWorker" in navigator) {
  await navigator.serviceWorker.register("/counter/service-worker.js", { scope: "/counter" });
  await navigator.serviceWorker.ready;
  const badge = one("#network .ready");
  badge.textContent = text("works_offline");
  badge.hidden = false;
}
