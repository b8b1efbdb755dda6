// Sliders over the days of the two axes of time, made beside their fields; each move loads the figures again.

const form = document.querySelector("[data-axes]");
const DAY_MS = 86_400_000;
let asked = 0;

async function show() {
  const number = ++asked;
  const address = `/what-if/axes?${new URLSearchParams(new FormData(form))}`;
  const answer = await fetch(address);
  if (number !== asked) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const made = page.querySelector("[data-figures]");
  if (!made) return form.submit();
  document.querySelector("[data-figures]").replaceWith(document.importNode(made, true));
  history.replaceState(null, "", address);
}

for (const name of ["known_at", "valid_at"]) {
  const field = form.elements[name];
  const first = Date.parse(field.min);
  const last = Math.max(0, Math.round((Date.parse(field.max) - first) / DAY_MS));
  const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: last });
  slider.setAttribute("aria-label", field.closest("label").firstChild.textContent.trim());
  const follow = () => (slider.value = field.value ? Math.round((Date.parse(field.value) - first) / DAY_MS) : last);
  follow();
  field.closest("label").append(slider);
  slider.addEventListener("input", () => {
    field.value = new Date(first + slider.value * DAY_MS).toISOString().slice(0, 10);
    slider.setAttribute("aria-valuetext", field.value);
  });
  slider.addEventListener("change", (event) => {
    event.stopPropagation();
    show();
  });
  field.addEventListener("change", follow);
}
form.addEventListener("change", show);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
