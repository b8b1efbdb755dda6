// Reads a table of old records with the API, rehearses its lines, and records those that were accepted, in slices.

const SLICE = 250;
const PAGE = 100;
const BYTES_MAX = 700_000;
const form = document.querySelector("#import");
const area = document.querySelector("#outcome");
const error = area.querySelector(".error");
const bar = area.querySelector("progress");
const summary = area.querySelector(".summary");
const record = form.querySelector("[data-record]");
const words = area.dataset;
const sentences = JSON.parse(words.sentences); // of refusals, in the language of the page
const INSTANTS = new Set(["check_in", "check_out", "occurred_at"]);
let lines = [];
let zone = "UTC";
let page = 0;
let shown = "";

form.querySelector("[data-examples]").addEventListener("change", (event) => {
  const found = form.querySelector(`[data-example="${CSS.escape(event.target.value)}"]`);
  if (found) form.elements.mapping.value = found.content.textContent;
});

for (const name of ["file", "mapping"]) {
  form.elements[name].addEventListener("input", () => (record.hidden = true)); // what is recorded is what was rehearsed
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  working(dryRun);
});
record.addEventListener("click", () => working(recordAccepted));
for (const button of area.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => {
    shown = button.dataset.show;
    page = 0;
    draw();
  });
}
for (const button of area.querySelectorAll("[data-page]")) {
  button.addEventListener("click", () => {
    page += Number(button.dataset.page);
    draw();
  });
}

async function working(work) {
  const buttons = form.querySelectorAll("button");
  area.hidden = false;
  error.hidden = true;
  bar.hidden = false;
  bar.value = 0;
  summary.textContent = words.busy;
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (failure) {
    summary.textContent = "";
    error.textContent = failure.detail || words.failed;
    error.hidden = false;
  } finally {
    for (const button of buttons) button.disabled = false;
    bar.hidden = true;
  }
}

async function dryRun() {
  const file = form.elements.file.files[0];
  lines = [];
  record.hidden = true;
  draw();
  if (file.size > BYTES_MAX) throw { detail: words.large };
  const content = btoa(Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(""));
  const read = await post("lines", { name: file.name, content, mapping: form.elements.mapping.value });
  zone = read.time_zone;
  lines = read.lines.map((line) => ({ ...line, outcome: line.problem ? "refused" : "", why: line.problem && why(line.problem) }));
  await send(lines.filter((line) => line.event), "rehearsals");
  record.hidden = !lines.some((line) => line.outcome === "accepted");
  summary.textContent += ` ${words.dry}`;
}

async function recordAccepted() {
  record.hidden = true;
  await send(lines.filter((line) => line.outcome === "accepted"), "records");
  summary.textContent += ` ${words.recorded}`;
}

async function send(chosen, where) {
  for (let start = 0; start < chosen.length; start += SLICE) {
    const slice = chosen.slice(start, start + SLICE);
    const { answers } = await post(where, slice.map((line) => line.event));
    answers.forEach((answer, place) => {
      const line = slice[place];
      line.outcome = answer.outcome === "refused" ? "refused" : answer.duplicate ? "duplicate" : "accepted";
      line.why = answer.outcome === "refused" ? why(answer) : "";
      line.position = answer.position;
    });
    bar.value = Math.min(1, (start + SLICE) / chosen.length);
  }
  page = 0;
  draw();
}

async function post(where, body) {
  const answer = await fetch(`/office/import/${where}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw found;
  return found;
}

function draw() {
  const counts = { accepted: 0, duplicate: 0, refused: 0 };
  for (const line of lines) counts[line.outcome] += 1;
  summary.textContent = lines.length
    ? Object.keys(counts).map((name) => `${counts[name].toLocaleString()} ${words[name]}`).join(" · ")
    : "";
  const chosen = shown ? lines.filter((line) => line.outcome === shown) : lines;
  const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const rows = chosen.slice(page * PAGE, (page + 1) * PAGE).map((line) => {
    const row = document.createElement("tr");
    const badge = document.createElement("span");
    badge.className = { accepted: "badge", duplicate: "badge warn", refused: "badge bad" }[line.outcome];
    badge.textContent = words[line.outcome];
    const cells = [line.line, badge, line.why || said(line)].map((content) => {
      const cell = document.createElement("td");
      cell.append(content);
      return cell;
    });
    cells[0].className = "n";
    row.append(...cells);
    return row;
  });
  area.querySelector("tbody").replaceChildren(...rows);
  area.querySelector(".wide").hidden = area.querySelector(".filters").hidden = !lines.length;
  const pager = area.querySelector(".pager");
  pager.hidden = pages === 1;
  pager.querySelector("span").textContent = `${page + 1} / ${pages}`;
  for (const button of area.querySelectorAll("[data-show]")) button.setAttribute("aria-pressed", button.dataset.show === shown);
}

function why({ rejection, detail }) {
  return [sentences[rejection], detail].filter(Boolean).join(" ");
}

function said({ event, lies }) {
  const texts = Object.entries(event.data).map(([name, value]) => (INSTANTS.has(name) ? instant(value) : String(value)));
  return [...texts, ...(lies ? [words.laid] : [])].join(" · ");
}

function instant(seconds) {
  const parts = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "short", timeZone: zone }); // 2014-03-05 09:00
  return parts.format(new Date(seconds * 1000));
}
