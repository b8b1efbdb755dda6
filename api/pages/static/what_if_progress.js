// How far a comparison is: server-sent events; at its end the page is loaded again.

const place = document.querySelector("[data-job]");
const bar = place.querySelector("[data-progress]");
const counted = place.querySelector("[data-counted]");
const numbers = new Intl.NumberFormat(document.documentElement.lang);
const source = new EventSource(`/what-if/runs/${place.dataset.job}/events`);

source.addEventListener("progress", (event) => {
  const { done, in_all: all, state } = JSON.parse(event.data);
  place.querySelector("[data-waiting]").hidden = state !== "waiting";
  if (!all) return;
  bar.max = all;
  bar.value = done;
  counted.textContent = `${numbers.format(done)} / ${numbers.format(all)}`;
});
source.addEventListener("ended", () => {
  source.close();
  location.reload();
});
addEventListener("pagehide", () => source.close());
