// The scans of this tablet. Each is in the browser's database before anybody is told that it was taken, and stays there
// until the ledger has answered; then for some days, to know who is here and which shift a check-out ends.

const KEPT_SECONDS = 3 * 86_400;
const BATCH_MAX = 100;
const ANSWER_MS = 30_000;
const PASSES = new Set(["busy", "disk-full", "failed", "future", "locked", "too-often", "unavailable"]);
const seconds = () => Math.floor(Date.now() / 1000);

export class Scans {
  static async open(openDB, station) {
    const database = await openDB("counter", 1, {
      upgrade(made) {
        made.createObjectStore("scans", { keyPath: "id" }).createIndex("state", "state");
        made.createObjectStore("settings");
      },
    });
    const scans = new Scans(database, station);
    scans.tablet = await scans.setting("tablet");
    if (!scans.tablet) await scans.set("tablet", (scans.tablet = `tablet-${crypto.randomUUID().slice(0, 8)}`));
    await scans.#forget();
    return scans;
  }

  constructor(database, station) {
    this.database = database;
    this.station = station;
  }

  setting(name) {
    return this.database.get("settings", name);
  }

  set(name, value) {
    return this.database.put("settings", value, name);
  }

  // `heldSeconds`: how long it may still be turned into the other way before it is sent.
  async add(way, volunteer, { shift, project, heldSeconds = 0 }) {
    const now = seconds();
    const scan = { id: uuid7(), station: this.station, way, volunteer, at: now, state: "waiting", heldUntil: now + heldSeconds };
    Object.assign(scan, way === "check-in" ? { shift: uuid7(), project: project || null } : { shift: shift ?? null });
    await this.database.add("scans", scan);
    return scan;
  }

  // Makes a scan that was taken for `way` the other, as long as it was not sent; says whether it could.
  async turn(id, way, { shift, project, heldSeconds = 0 }) {
    return this.#change(id, (scan) => {
      if (scan.state !== "waiting" || scan.tried || scan.way !== way) return false;
      scan.way = scan.way === "check-in" ? "check-out" : "check-in";
      scan.shift = scan.way === "check-in" ? uuid7() : (shift ?? null);
      scan.project = scan.way === "check-in" ? project || null : undefined;
      scan.heldUntil = heldSeconds && seconds() + heldSeconds;
      return true;
    });
  }

  async release(id) {
    const scan = await this.database.get("scans", id);
    if (scan?.state === "waiting" && scan.heldUntil) await this.#change(id, (each) => void (each.heldUntil = 0));
  }

  async releaseAll() {
    for (const { id } of await this.inState("waiting")) await this.release(id);
  }

  async inState(state) {
    const found = await this.database.getAllFromIndex("scans", "state", state);
    return found.filter((scan) => scan.station === this.station).sort(byTime);
  }

  // Scans that wait for the key of another station, which this tablet was before.
  async ofOthers() {
    const found = await this.database.getAllFromIndex("scans", "state", "waiting");
    return found.filter((scan) => scan.station !== this.station);
  }

  // A refused scan is sent again under its own name, or put aside; it is never changed.
  again(id) {
    return this.#change(id, (scan) => void (scan.state = "waiting"));
  }

  putAside(id) {
    return this.#change(id, (scan) => void (scan.state = "aside"));
  }

  // Sends what waits. Two windows of one tablet do it one after the other. Returns how it ended:
  // "sent" (`later`: some answers were that it must wait), "offline", "busy" (`after` seconds), "signed-out".
  send() {
    return navigator.locks.request("counter-send", () => this.#send());
  }

  async #send() {
    let size = BATCH_MAX;
    const later = new Map();
    for (;;) {
      const due = (await this.inState("waiting")).filter((scan) => scan.heldUntil <= seconds() && !later.has(scan.id));
      if (!due.length) return { how: "sent", later: [...later.values()] };
      const batch = due.slice(0, size);
      for (const { id } of batch) await this.#change(id, (scan) => void (scan.tried = true));
      const said = await this.#post("", batch.map((scan) => this.#event(scan)));
      if (said.how !== "answered") return said;
      if (said.problem && batch.length > 1) {
        size = 1; // one of them spoils the batch: each on its own, and the others arrive
        continue;
      }
      const answers = said.problem ? [refusal(said.problem)] : said.data.answers;
      for (const [index, answer] of answers.entries()) {
        if (answer.rejection === "not-alone") size = 1; // a signed batch is recorded as a whole, or not at all
        else if (answer.outcome === "refused" && PASSES.has(answer.rejection)) {
          later.set(batch[index].id, answer.rejection);
        } else await this.#change(batch[index].id, (scan) => void Object.assign(scan, settled(answer)));
      }
    }
  }

  // What the ledger would say to a scan, without recording it.
  rehearse(scan) {
    return this.#post("?dry_run=true", [this.#event(scan)]);
  }

  // Who is here: what the ledger said last, and what was scanned on this tablet since.
  // `since` in seconds; `shift` only if this tablet made it.
  async here(begin) {
    const known = (await this.setting(`here:${this.station}`)) ?? { position: 0, here: [] };
    const own = (await this.#ofStation()).filter((scan) => scan.state === "waiting" || scan.state === "sent");
    const made = new Set(own.filter((scan) => scan.way === "check-in").map((scan) => scan.shift));
    const found = new Map();
    for (const { volunteer, since, shift } of known.here) {
      if (since >= begin) found.set(volunteer, { since, shift: made.has(shift) ? shift : null });
    }
    for (const scan of own) {
      if (scan.at < begin || (scan.position && scan.position <= known.position)) continue;
      if (scan.way === "check-out") found.delete(scan.volunteer);
      else found.set(scan.volunteer, { since: scan.at, shift: scan.shift });
    }
    return found;
  }

  // Asks the ledger who is here; says how that ended, as `send` does.
  async refresh() {
    const said = await this.#ask("/counter/here");
    if (said.how === "answered" && !said.problem) await this.set(`here:${this.station}`, { ...said.data, at: seconds() });
    return said;
  }

  // What the ledger knows of a volunteer: `minutes`, and `here` if checked in. Null if nobody answers, or has the number.
  async volunteer(number, position) {
    const said = await this.#ask(`/counter/volunteers/${encodeURIComponent(number)}${position ? `?at_least=${position}` : ""}`);
    return said.how === "answered" && !said.problem ? said.data : null;
  }

  // Whether the ledger, at a position, knew all scans of a volunteer on this tablet but one.
  async areKnown(number, position, but) {
    const others = (await this.#ofStation()).filter(({ id, volunteer, state }) => volunteer === number && id !== but && state !== "aside" && state !== "refused");
    return others.every((scan) => scan.state === "sent" && scan.position <= position);
  }

  async madeHere(shift) {
    return (await this.#ofStation()).some((scan) => scan.way === "check-in" && scan.shift === shift);
  }

  async last(volunteer) {
    return (await this.#ofStation()).filter((scan) => scan.volunteer === volunteer && scan.state !== "aside").at(-1);
  }

  get(id) {
    return this.database.get("scans", id);
  }

  async #ofStation() {
    return (await this.database.getAll("scans")).filter((scan) => scan.station === this.station).sort(byTime);
  }

  async #change(id, how) {
    const work = this.database.transaction("scans", "readwrite");
    const scan = await work.store.get(id);
    const result = scan ? how(scan) : false;
    if (scan && result !== false) await work.store.put(scan);
    await work.done;
    return result !== false && scan;
  }

  async #forget() {
    const old = seconds() - KEPT_SECONDS;
    for (const scan of await this.database.getAll("scans")) {
      if (scan.state !== "waiting" && scan.state !== "refused" && scan.at < old) await this.database.delete("scans", scan.id);
    }
  }

  async #post(query, events) {
    const body = JSON.stringify(events);
    const signed = (await this.signer?.headers(body, query, seconds() - (aheadSeconds ?? 0))) ?? {};
    const headers = { "Content-Type": "application/cloudevents-batch+json", ...signed };
    return this.#ask(`/counter/send${query}`, { method: "POST", body, headers, keepalive: document.hidden && body.length < 60_000 });
  }

  // The server refuses what names another station than that of the session: another key may be in the browser by now.
  #ask(address, options = {}) {
    return ask(address, { ...options, headers: { ...options.headers, "X-Station": this.station } });
  }

  #event({ id, way, volunteer, at, shift, project }) {
    const data = { volunteer, station: this.station, occurred_at: at };
    if (shift) data.shift = shift;
    if (project) data.project = project;
    const source = `/stations/${this.station}/${this.tablet}`;
    return { specversion: "1.0", id, source, type: `org.service-hours.${way}.v1`, data };
  }
}

// How many seconds the clock of this tablet is ahead of the server's, as the last answer said; null before there is one.
export let aheadSeconds = null;

async function ask(address, options) {
  try {
    const answer = await fetch(address, { ...options, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
    const date = Date.parse(answer.headers.get("Date") ?? "");
    if (date) aheadSeconds = Math.round((Date.now() - date) / 1000);
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
      const isJson = answer.headers.get("Content-Type")?.includes("json");
      const { type } = isJson ? await answer.json() : {};
      return { how: /not-signed|bad-signature/.test(type) ? "must-sign" : "signed-out" };
    }
    if (answer.status === 408 || answer.status === 429 || answer.status >= 500) {
      return { how: "busy", after: Number(answer.headers.get("Retry-After")) || 5 };
    }
    const data = await answer.json();
    return answer.ok ? { how: "answered", data } : { how: "answered", problem: data };
  } catch {
    return { how: "offline" };
  }
}

function refusal({ type, detail, retry }) {
  return { outcome: "refused", rejection: String(type ?? "").split("/").at(-1), detail, retry };
}

function settled({ outcome, position, rejection, detail, retry }) {
  return outcome === "refused" ? { state: "refused", rejection, detail, retry } : { state: "sent", position };
}

function byTime(one, other) {
  return one.at - other.at || (one.id < other.id ? -1 : 1);
}

// A UUID of version 7: the time in milliseconds, then random bits.
export function uuid7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let place = 0; place < 6; place += 1) bytes[place] = Math.floor(now / 2 ** (40 - 8 * place)) % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return text.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
