// Figures that change while one looks: server-sent events of /live. The browser connects again by itself.

const format = new Intl.NumberFormat(document.documentElement.lang);
const places = new Map();
for (const place of document.querySelectorAll("[data-live]")) places.set(place.dataset.live, place);

const source = new EventSource("/live");
source.addEventListener("message", (event) => {
  for (const [name, value] of Object.entries(JSON.parse(event.data))) {
    const place = places.get(name);
    if (!place) continue;
    const text = format.format(place.dataset.format === "hours" ? Math.floor(value / 60) : value);
    if (place.textContent === text) continue;
    place.textContent = text;
    place.classList.remove("ticked");
    requestAnimationFrame(() => place.classList.add("ticked"));
  }
});
addEventListener("pagehide", () => source.close());
