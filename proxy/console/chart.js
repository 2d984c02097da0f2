// Drawings of the last day. Each says in words what it shows, and stands beside a table of the same figures.

import { el, svg } from "./dom.js";
import { minute } from "./language.js";

const HEIGHT = 100;

/** Sums of `size` neighbours. */
export function grouped(values, size) {
  const sums = [];
  for (let at = 0; at < values.length; at += size) {
    sums.push(values.slice(at, at + size).reduce((sum, value) => sum + value, 0));
  }
  return sums;
}

/** Columns over time; `titles` are said of each when pointed at, `label` of the whole. */
export function columns(values, { kind, label, titles, most = Math.max(...values, 1) }) {
  const bars = values.map((value, at) => {
    const height = value === 0 ? 0 : Math.max((value / most) * HEIGHT, 2);
    return svg("g", null,
      svg("rect", { class: "hit", x: at, y: 0, width: 1, height: HEIGHT }, titles && svg("title", null, titles[at])),
      value ? svg("rect", { class: "column", x: at + 0.12, y: HEIGHT - height, width: 0.76, height }) : null);
  });
  return svg("svg", {
    class: `chart ${kind}`, viewBox: `0 0 ${values.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label,
  }, bars);
}

/** The hours below columns: every `hours`th full one, where it falls. */
export function hours(from, until, every) {
  const axis = el("div", { class: "axis", "aria-hidden": "true" });
  const first = new Date(from);
  first.setMinutes(0, 0, 0);
  for (const at = first; at <= until; at.setHours(at.getHours() + 1)) {
    const place = (at - from) / (until - from);
    if (at.getHours() % every !== 0 || place < 0.06 || place > 0.97) continue;
    const mark = el("span", null, minute(at));
    mark.style.left = `${place * 100}%`;
    axis.append(mark);
  }
  return axis;
}

/** A bar of shares beside a figure, which is written where it stands. */
export function bar(parts, most) {
  const node = svg("svg", { class: "bar-chart", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  for (const [kind, value] of parts) {
    const width = most ? (value / most) * 100 : 0;
    if (width > 0) node.append(svg("rect", { class: kind, x, y: 0, width: Math.max(width, 0.6), height: 10 }));
    x += width;
  }
  return node;
}
