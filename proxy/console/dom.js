// How anything gets onto the page: elements by name, texts as text nodes. Nothing here reads markup, so whatever a
// client, a policy or a URL says can only ever be read.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children: nodes, texts, numbers, lists of them; null and false are left out. */
export function el(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for drawings. */
export function svg(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...nodes(children));
  return node;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts other children in place of those that are there. */
export function fill(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** Whether somebody is at something in there: what has the focus, or is selected, must not be taken away. */
export function isRead(node) {
  const selection = getSelection();
  return node.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(node, true));
}

/** Puts the choices of a list in place; one that says the same already is left alone, for somebody may have it open. */
export function choices(select, options) {
  const fresh = el("select", null, options);
  const isSame = fresh.children.length === select.children.length
    && [...fresh.children].every((one, at) => one.isEqualNode(select.children[at]));
  if (!isSame) fill(select, ...fresh.children);
}

/** A text that may be in another language than the page. */
export function spoken({ text, lang }, attributes) {
  return el("span", { ...attributes, lang: lang === document.documentElement.lang ? null : lang }, text);
}

/** A link to somewhere on the web, or the text alone: a `javascript:` is no place to go. */
export function webLink(address, content) {
  const goes = typeof address === "string" && /^https?:\/\//i.test(address) && URL.canParse(address);
  return goes ? el("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, content) : el("span", null, content);
}

/** A list of terms and what is said of each; an entry without anything to say is left out. */
export function facts(entries) {
  const told = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, told.map(([term, value]) => [el("dt", null, term), el("dd", null, value)]));
}

/**
 * A table whose meaning outlives its layout: narrow screens show each row as a block, and `role` keeps it a row.
 * A column is `[heading, class?]`; a cell is a node or a text, the first of a row its heading.
 */
export function table(caption, columns, rows, attributes) {
  const head = columns.map(([heading, kind]) => el("th", { scope: "col", role: "columnheader", class: kind }, heading));
  return el("table", { role: "table", ...attributes },
    el("caption", { class: "unseen" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
    el("tbody", { role: "rowgroup" }, rows.map((cells) => row(columns, cells))));
}

function row(columns, cells) {
  return el("tr", { role: "row" }, cells.map((cell, at) => {
    const [heading, kind] = columns[at];
    const mark = at === 0 ? { scope: "row", role: "rowheader" } : { role: "cell" };
    return el(at === 0 ? "th" : "td", { ...mark, class: kind, "data-heading": heading }, cell);
  }));
}

const SHAPES = {
  deny: () => [svg("circle", { cx: 8, cy: 8, r: 7, class: "solid" }), svg("path", { d: "M4.5 8h7", class: "bar" })],
  observed: () => [svg("path", { d: "M8 1.8 14.8 14H1.2Z", class: "open" }), svg("path", { d: "M8 6v4M8 11.6v.9", class: "line" })],
  allow: () => [svg("circle", { cx: 8, cy: 8, r: 6.2, class: "open" }), svg("path", { d: "m5 8.3 2.1 2.1L11 6.2", class: "line" })],
};

/** The shape of a verdict: a barred disc, a triangle, a tick. It stands beside the word and never in its place. */
export function shape(verdict) {
  return svg("svg", { class: `shape ${verdict}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, SHAPES[verdict]());
}
