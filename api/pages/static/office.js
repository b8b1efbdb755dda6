// Shows what a form changes on the clock while it is filled in. The ledger computes what is credited.

for (const form of document.querySelectorAll("form.correct")) {
  const shown = form.querySelector("[data-change]");
  const begin = form.elements.check_in;
  const end = form.elements.check_out;
  if (!shown || !begin || !end) continue;
  const before = form.dataset.raw === undefined ? null : Number(form.dataset.raw);
  const was = [begin.value, end.value];
  form.addEventListener("input", () => {
    const minutes = (Date.parse(end.value) - Date.parse(begin.value)) / 60000;
    const change = before === null ? minutes : minutes - before;
    shown.hidden = !(minutes > 0) || (before !== null && begin.value === was[0] && end.value === was[1]);
    const hours = Math.floor(Math.abs(change) / 60);
    const rest = String(Math.abs(change) % 60).padStart(2, "0");
    const badge = shown.querySelector(".badge");
    badge.textContent = `${change > 0 ? "+" : change < 0 ? "−" : "±"}${hours}:${rest}`;
    badge.classList.toggle("warn", change < 0);
  });
}
