// The list of attempts on the page: the newest first, bounded, each line opened and closed, arrow keys from line to line.

import { detail, keyOf, line } from "./attempt.js";
import { byId, el, fill } from "./dom.js";
import { clock, say } from "./language.js";

/** Lines on the page; those that somebody reads are kept beyond, up to twice as many. */
const MOST = 200;
const COLUMNS = 5;

const lines = []; // { key, order, seq, row, id, opened, attempt | missed }
let made = 0;

export function begin() {
  const list = byId("attempts");
  list.addEventListener("click", (event) => {
    const at = lines.find(({ row }) => row.contains(event.target));
    const isSelecting = String(getSelection()) !== "" && !event.target.closest("button");
    if (at?.attempt && !isSelecting) toggle(at);
  });
  list.addEventListener("keydown", move);
}

export function clear() {
  lines.length = 0;
  byId("attempts").replaceChildren();
}

/** How many attempts are shown. */
export function count() {
  return lines.filter(({ attempt }) => attempt).length;
}

/** Takes what arrived, each either an attempt or `{ missed }`; what is there already stays as it is. */
export function add(arrived) {
  const known = new Set(lines.map(({ key }) => key));
  for (const one of arrived) {
    const at = one.missed ? gap(one) : attemptLine(one);
    if (!known.has(at.key)) insert(at);
    known.add(at.key);
  }
  trim();
}

/** Writes every line anew, in the page's language. */
export function write() {
  lines.forEach(rewrite);
}

function attemptLine(attempt) {
  const id = `attempt-${made += 1}`;
  return { key: keyOf(attempt), order: Date.parse(attempt.at), seq: attempt.seq, row: line(attempt, id), id, opened: null, attempt };
}

function gap({ missed }) {
  const row = el("tr", { role: "row", class: "missed" });
  const at = { key: `missed-${made += 1}`, order: Date.now(), seq: Infinity, row, opened: null, missed };
  rewrite(at);
  return at;
}

function rewrite(at) {
  if (at.missed) {
    const text = `${clock(new Date(at.order))} · ${say("live.missed", { count: at.missed })}`;
    fill(at.row, el("td", { role: "cell", colspan: COLUMNS }, text));
    return;
  }
  const isOpen = at.opened !== null;
  const isFocused = at.row.contains(document.activeElement);
  if (isOpen) toggle(at);
  const row = line(at.attempt, at.id);
  at.row.replaceWith(row);
  at.row = row;
  if (isOpen) toggle(at);
  if (isFocused) opener(at).focus();
}

function insert(at) {
  const isOlder = (one) => one.order < at.order || (one.order === at.order && one.seq < at.seq);
  const found = lines.findIndex(isOlder);
  const place = found < 0 ? lines.length : found;
  byId("attempts").insertBefore(at.row, lines[place]?.row ?? null);
  lines.splice(place, 0, at);
}

// The oldest go, but for what somebody reads.
function trim() {
  for (let place = lines.length - 1; place >= 0 && lines.length > MOST; place -= 1) {
    const at = lines[place];
    const isRead = at.opened !== null || at.row.contains(document.activeElement);
    if (isRead && lines.length <= 2 * MOST) continue;
    at.opened?.remove();
    at.row.remove();
    lines.splice(place, 1);
  }
}

function opener({ row }) {
  return row.querySelector(".opener");
}

function toggle(at) {
  const isOpen = at.opened !== null;
  opener(at).setAttribute("aria-expanded", String(!isOpen));
  at.row.classList.toggle("is-open", !isOpen);
  if (isOpen) {
    at.opened.remove();
    at.opened = null;
    return;
  }
  at.opened = el("tr", { role: "row", class: "opened", id: at.id }, el("td", { role: "cell", colspan: COLUMNS }, detail(at.attempt)));
  at.row.after(at.opened);
}

// A list of two hundred is no two hundred steps long.
function move(event) {
  if (!event.target.classList.contains("opener")) return;
  const all = lines.filter(({ attempt }) => attempt);
  const place = all.findIndex(({ row }) => row.contains(event.target));
  const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: all.length - 1 }[event.key];
  if (next === undefined || !all[next]) return;
  event.preventDefault();
  opener(all[next]).focus();
}
