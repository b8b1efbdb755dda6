// The editor of rules: what is typed in a field is written into the text, the text is checked while one types, and the
// form follows the text.

import { places, withValue } from "./rules_text.js";

const WAIT_MS = 500;
const form = document.querySelector("[data-rules]");
const text = form.elements.text;
const parts = { form: form.querySelector('[data-place="form"]'), findings: form.querySelector('[data-place="findings"]') };
let timer = 0;
let asked = 0;

function literal(field) {
  if (field.value === "") return null;
  return field.dataset.form === "quoted" ? JSON.stringify(field.value) : field.value;
}

async function check(withForm) {
  const number = ++asked;
  const answer = await fetch("/what-if/check", { method: "POST", body: new URLSearchParams({ text: text.value }), headers: { "HX-Request": "true" } });
  if (number !== asked) return; // an older text
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.status === 503) return later(withForm);
  if (!answer.ok) return parts.findings.replaceChildren(...parsed.body.childNodes);
  parts.findings.replaceChildren(...parsed.querySelector('[data-part="findings"]').childNodes);
  const made = parsed.querySelector('[data-part="form"]');
  if (withForm && made) replaceForm(made);
}

/** Put the new form in place; what was open stays open. */
function replaceForm(made) {
  const open = [...parts.form.querySelectorAll("details")].map((each) => each.open);
  made.querySelectorAll("details").forEach((each, at) => at in open && (each.open = open[at]));
  parts.form.replaceChildren(...made.childNodes);
}

/** Scroll the text so that a line can be seen. */
function showLine(line) {
  text.scrollTop = (line - 6) * (text.scrollHeight / text.value.split("\n").length);
}

function later(withForm) {
  clearTimeout(timer);
  timer = setTimeout(() => check(withForm).catch(() => {}), WAIT_MS);
}

parts.form.addEventListener("change", (event) => {
  const field = event.target;
  if (!field.dataset.path || !field.reportValidity()) return;
  text.value = withValue(text.value, field.dataset.path, literal(field));
  const found = places(text.value).values.get(field.dataset.path);
  if (found) showLine(text.value.slice(0, found.line).split("\n").length);
  later(false);
});
text.addEventListener("input", () => later(true));
form.addEventListener("submit", () => {
  clearTimeout(timer);
  asked += 1;
});

parts.findings.addEventListener("click", (event) => {
  const line = Number(event.target.closest("[data-line]")?.dataset.line);
  if (!line) return;
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  showLine(line);
});

check(false).catch(() => {});
