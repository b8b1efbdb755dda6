// The distribution of changes as a chart: Vega-Lite, interpreted instead of compiled, because the policy allows no eval.
// The numbers are those of the table beside it.

import { expressionInterpreter } from "./vendor/vega-interpreter-2.3.2.js";

const place = document.querySelector("[data-chart]");
const rows = [...document.querySelectorAll("[data-bands] tbody tr")];
const values = rows.map((row) => ({
  band: row.dataset.short,
  words: row.querySelector("th").textContent,
  gains: row.dataset.gains === "1",
  count: Number(row.dataset.count),
}));
let view;

function spec(colour) {
  const axis = { labelColor: colour("--muted"), titleColor: colour("--muted"), domainColor: colour("--line"), tickColor: colour("--line"), gridColor: colour("--line"), labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: Math.max(240, place.clientWidth - 70),
    height: 260,
    background: null,
    padding: 4,
    data: { values },
    mark: { type: "bar", cornerRadiusEnd: 3, tooltip: null },
    encoding: {
      x: { field: "band", type: "ordinal", sort: null, title: place.dataset.titleX, axis: { labelAngle: 0, labelOverlap: "greedy" } },
      y: { field: "count", type: "quantitative", title: place.dataset.titleY, axis: { tickMinStep: 1, format: ",d" } },
      color: { field: "gains", type: "nominal", legend: null, scale: { domain: [true, false], range: [colour("--accent"), colour("--bad")] } },
    },
    config: { axis, view: { stroke: null }, font: getComputedStyle(document.body).fontFamily },
  };
}

async function draw() {
  const styles = getComputedStyle(document.documentElement);
  const { vega, vegaLite } = globalThis;
  const compiled = vegaLite.compile(spec((name) => styles.getPropertyValue(name).trim())).spec;
  view?.finalize();
  view = new vega.View(vega.parse(compiled, null, { ast: true }), { expr: expressionInterpreter, renderer: "canvas", container: place, hover: false });
  await view.runAsync();
  place.dataset.drawn = "1";
}

await draw();
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
let width = place.clientWidth;
new ResizeObserver(() => {
  if (place.clientWidth === width) return;
  width = place.clientWidth;
  draw();
}).observe(place);
