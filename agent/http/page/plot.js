// A small plot of the last five minutes: an area and its edge.

const NS = "http://www.w3.org/2000/svg";
export const TICKS = 300;

export function svg(tag, attributes = {}) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Draw `values`, the newest at the right edge; the highest reaches the top, but is at least `least`. */
export function draw(plot, values, least = 1) {
  if (!plot.firstChild) {
    plot.setAttribute("viewBox", `0 0 ${TICKS} 100`);
    plot.setAttribute("preserveAspectRatio", "none");
    plot.append(svg("path", { class: "area" }), svg("path", { class: "edge" }));
  }
  const top = Math.max(least, ...values);
  const left = TICKS - values.length;
  const points = values.map((value, place) => `${left + place + 1} ${(99 - (value / top) * 96).toFixed(1)}`);
  const edge = points.length ? `M${points.join("L")}` : "";
  const [area, line] = plot.children;
  line.setAttribute("d", edge);
  area.setAttribute("d", edge && `${edge}L${TICKS} 100L${left + 1} 100Z`);
}
