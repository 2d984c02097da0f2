// Derogations: what they lift for whom, who approved them, and how long they still hold.

import { bar } from "./chart.js";
import { byId, el, fill, isRead, spoken, table, webLink } from "./dom.js";
import { policy } from "./gate.js";
import { day, named, say } from "./language.js";

const SOON = 30;
const VERY_SOON = 7;

export function begin() {}

export function show() {
  write();
}

export function hide() {}

/** What holds, ends or will hold: a word for it. */
export function stateOf({ in_force: inForce, days_left: left, from }) {
  if (!inForce) return from && Date.parse(from) > Date.now() ? "later" : "over";
  if (left === null || left === undefined) return "open";
  if (left <= VERY_SOON) return "verySoon";
  return left <= SOON ? "soon" : "open";
}

/** How many end within thirty days. */
export function ending() {
  return (policy()?.derogations ?? []).filter((it) => ["soon", "verySoon"].includes(stateOf(it))).length;
}

/** Writes the table anew. */
export function write() {
  const all = (policy()?.derogations ?? []).map((it) => ({ ...it, state: stateOf(it) }));
  const holding = all.filter(({ in_force: inForce }) => inForce).sort((a, b) => (a.days_left ?? Infinity) - (b.days_left ?? Infinity));
  const later = all.filter(({ state }) => state === "later");
  const over = all.filter(({ state }) => state === "over");
  fill(byId("derogations-in-force"), listed(holding, "derogations.none", "derogations.inForce"));
  part("derogations-later", later, "derogations.later");
  part("derogations-over", over, "derogations.over");
}

/** Writes what is new, unless somebody is at it. */
export function refresh() {
  if (!isRead(byId("view-derogations"))) write();
}

function part(id, some, caption) {
  byId(id).hidden = some.length === 0;
  fill(byId(id).querySelector("div"), some.length ? listed(some, caption, caption) : null);
}

function listed(some, empty, caption) {
  if (!some.length) return el("p", { class: "quiet" }, say(empty));
  const columns = [
    [say("derogations.what")], [say("live.ministry")], [say("derogations.lifts")], [say("derogations.ends")], [say("derogations.approved")],
  ];
  return table(say(caption), columns, some.map(cells), { class: "roomy" });
}

function cells(derogation) {
  return [el("code", { class: "id" }, derogation.id), whose(derogation), lifts(derogation), ends(derogation), approval(derogation)];
}

function whose({ ministry, ministry_name: name, workloads }) {
  return [
    el("span", { class: "first" }, spoken(named(name, ministry))),
    el("span", { class: "second" }, workloads?.length ? workloads.join(", ") : say("derogations.allWorkloads")),
  ];
}

function lifts({ services }) {
  if (!services?.length) return "–";
  return el("ul", { class: "plain" }, services.map(({ id, name }) => el("li", null, spoken(named(name, id)))));
}

function ends(derogation) {
  const { from, until, days_left: left, state } = derogation;
  if (!until) return "–";
  // `until` is the first instant at which it holds no more; people count its last day.
  const last = new Date(Date.parse(until) - 1000);
  const share = from ? (Date.now() - Date.parse(from)) / (Date.parse(until) - Date.parse(from)) : 0;
  const isHolding = derogation.in_force;
  return [
    isHolding ? [el("span", { class: `left ${state}` }, say("derogations.daysLeft", { count: left })), " ", urgency(state)] : null,
    el("span", { class: isHolding ? "second" : "first" },
      say(state === "later" ? "derogations.fromUntil" : "derogations.lastDay", { from: from ? day(new Date(from)) : "–", until: day(last) })),
    isHolding && from ? bar([["elapsed", Math.min(Math.max(share, 0), 1)]], 1) : null,
  ];
}

function urgency(state) {
  return ["soon", "verySoon"].includes(state) ? el("strong", { class: "tag" }, say(`derogations.${state}`)) : null;
}

function approval({ approved_by: by, reference, ticket }) {
  if (!by && !reference && !ticket) return "–";
  return [
    by && el("span", { class: "first" }, by),
    reference && el("span", { class: "second" }, reference),
    ticket && el("span", { class: "second" }, webLink(ticket, ticket)),
  ];
}
