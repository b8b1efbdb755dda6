// A station's page: the part that takes longer is loaded after the rest, and a square of the calendar opens its day.

for (const place of document.querySelectorAll("[data-part]")) {
  fetch(place.dataset.part, { headers: { "HX-Request": "true" } })
    .then((answer) => answer.text())
    .then((text) => {
      place.innerHTML = text;
    })
    .catch(() => {}); // the link in its place leads there
}

const CELL = 13, LEFT = 30, TOP = 18;

for (const figure of document.querySelectorAll("[data-days]")) {
  const chart = figure.querySelector("svg");
  const year = Number(figure.dataset.year);
  const first = new Date(Date.UTC(year, 0, 1));
  const dayAt = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
    const week = Math.floor((point.x - LEFT) / CELL), weekday = Math.floor((point.y - TOP) / CELL);
    if (weekday < 0 || weekday > 6) return null;
    const day = new Date(first);
    day.setUTCDate(1 + week * 7 + weekday - ((first.getUTCDay() + 6) % 7));
    return day.getUTCFullYear() === year ? day.toISOString().slice(0, 10) : null;
  };
  chart.addEventListener("pointermove", (event) => {
    chart.classList.toggle("on-day", dayAt(event) !== null);
  });
  chart.addEventListener("click", (event) => {
    const day = dayAt(event);
    if (day) location.assign(figure.dataset.days + day);
  });
}
