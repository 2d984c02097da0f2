// The last 24 hours: what was refused, what would be, what was let through; by ministry, and which services.

import { verdictMark } from "./attempt.js";
import { bar, columns, grouped, hours } from "./chart.js";
import { byId, choices, el, fill, isRead, spoken, table } from "./dom.js";
import { history } from "./gate.js";
import { compare, minute, named, number, say } from "./language.js";
import { note, to } from "./router.js";

const VERDICTS = ["deny", "observed", "allow"];
const NAMELESS = ["unassigned", "unlisted", "other"];
const DRAWN = ["day-lanes", "day-table", "day-ministries", "day-ministries-table", "day-services"];
const MOST_SERVICES = 15;
const MOST_MINISTRIES = 60;

const chosen = { ministry: "", verdict: "deny" };

export function begin() {
  byId("day-ministry").addEventListener("change", (event) => take({ ministry: event.target.value }));
  byId("day-verdict").addEventListener("change", (event) => take({ verdict: event.target.value }));
}

export function show(parameters) {
  chosen.ministry = parameters.get("ministry") ?? "";
  const verdict = parameters.get("verdict");
  chosen.verdict = VERDICTS.includes(verdict) ? verdict : "deny";
  write();
}

export function hide() {}

function take(choice) {
  Object.assign(chosen, choice);
  note("day", { ministry: chosen.ministry, verdict: chosen.verdict === "deny" ? "" : chosen.verdict });
  write();
}

/** Draws everything anew. */
export function write() {
  const known = history();
  byId("day-body").hidden = !known;
  byId("day-unknown").hidden = Boolean(known);
  if (!known) return;
  offer(known);
  lanes(known);
  ministries(known);
  services(known);
}

/** Draws what is new, unless somebody is at it. */
export function refresh() {
  if (!DRAWN.some((id) => isRead(byId(id)))) write();
}

// What is none of the policy's own has a word of the page.
function nameOf({ id, name }) {
  return !name && NAMELESS.includes(id) ? { text: say(id), lang: null } : named(name, id);
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function offer(known) {
  const all = known.ministries.map((it) => ({ id: it.id, label: nameOf(it).text })).sort((a, b) => compare(a.label, b.label));
  const select = byId("day-ministry");
  choices(select, [el("option", { value: "" }, say("filter.allMinistries")), all.map(({ id, label }) => el("option", { value: id }, label))]);
  if (!all.some(({ id }) => id === chosen.ministry)) chosen.ministry = "";
  select.value = chosen.ministry;
}

/** The steps of the day for one verdict, of the ministry chosen or of all. */
function steps(known, verdict) {
  const sums = new Array(known.steps).fill(0);
  for (const ministry of known.ministries) {
    if (chosen.ministry && ministry.id !== chosen.ministry) continue;
    ministry[verdict].forEach((value, at) => { sums[at] += value; });
  }
  return sums;
}

/** The instant at which a step begins. */
function begins(known, at) {
  return new Date(Date.parse(known.from) + at * known.step_seconds * 1000);
}

function lanes(known) {
  const size = Math.max(1, Math.round(900 / known.step_seconds));
  const axis = () => hours(begins(known, 0), begins(known, known.steps), 3);
  fill(byId("day-lanes"), VERDICTS.map((verdict) => {
    const values = grouped(steps(known, verdict), size);
    return el("div", { class: "lane" },
      el("h3", null, verdictMark(verdict), el("span", { class: "figure" }, number(total(values)))),
      el("div", { class: "plot" },
        el("span", { class: "most", "aria-hidden": "true" }, number(Math.max(...values))),
        columns(values, { kind: verdict, label: summary(known, verdict, values, size), titles: titles(known, values, size) }),
        axis()));
  }));
  later(byId("day-table"), () => hourly(known));
}

function interval(known, at, size) {
  return `${minute(begins(known, at * size))} – ${minute(begins(known, (at + 1) * size))}`;
}

function titles(known, values, size) {
  return values.map((value, at) => `${interval(known, at, size)}${say("colon")}${number(value)}`);
}

function summary(known, verdict, values, size) {
  const most = Math.max(...values);
  const words = say("day.chart", { verdict: say(`verdict.${verdict}`), total: total(values) });
  return most ? `${words} ${say("day.peak", { most, when: interval(known, values.indexOf(most), size) })}` : words;
}

function hourly(known) {
  const size = Math.max(1, Math.round(3600 / known.step_seconds));
  const all = VERDICTS.map((verdict) => grouped(steps(known, verdict), size));
  const rows = all[0].map((_, at) => [interval(known, at, size), ...all.map((values) => number(values[at]))]);
  return table(say("day.byHour"), [[say("day.hour")], ...VERDICTS.map((verdict) => [say(`verdict.${verdict}`), "amount"])], rows);
}

function ministries(known) {
  for (const input of byId("day-verdict").querySelectorAll("input")) input.checked = input.value === chosen.verdict;
  const size = Math.max(1, Math.round(1800 / known.step_seconds));
  const all = known.ministries.map((ministry) => ({ ...ministry, values: grouped(ministry[chosen.verdict], size) }));
  all.sort((a, b) => total(b.values) - total(a.values) || compare(nameOf(a).text, nameOf(b).text));
  const most = Math.max(1, ...all.flatMap(({ values }) => values));
  fill(byId("day-ministries"), all.slice(0, MOST_MINISTRIES).map((it) => card(known, it, size, most)));
  later(byId("day-ministries-table"), () => ministryTable(all));
}

function card(known, ministry, size, most) {
  const { id, values } = ministry;
  const name = nameOf(ministry);
  const link = el("a", { href: to("live", { ministry: id, verdict: chosen.verdict }) }, spoken(name));
  const label = `${name.text}${say("colon")}${summary(known, chosen.verdict, values, size)}`;
  return el("li", { class: "card" },
    el("div", { class: "card-head" }, link, el("span", { class: "figure" }, number(total(values)))),
    columns(values, { kind: chosen.verdict, label, titles: titles(known, values, size), most }));
}

function ministryTable(all) {
  const rows = all.map((it) => [spoken(nameOf(it)), ...VERDICTS.map((verdict) => number(total(it[verdict])))]);
  return table(say("day.byMinistry"), [[say("live.ministry")], ...VERDICTS.map((verdict) => [say(`verdict.${verdict}`), "amount"])], rows);
}

function services(known) {
  const tried = known.services.filter(({ deny, observed }) => deny + observed > 0);
  tried.sort((a, b) => b.deny - a.deny || b.observed - a.observed);
  const top = tried.slice(0, MOST_SERVICES);
  const most = Math.max(1, ...top.map(({ deny, observed }) => deny + observed));
  const columns = [
    [say("live.service")], [say("day.share"), "wide"], [say("verdict.deny"), "amount"], [say("verdict.observed"), "amount"], [say("day.machines"), "amount"],
  ];
  const rows = top.map(({ id, name, deny, observed, machines }) => [
    el("a", { href: to("live", { service: id }) }, spoken(nameOf({ id, name }))),
    bar([["deny", deny], ["observed", observed]], most),
    number(deny), number(observed), machines === null || machines === undefined ? "–" : number(machines),
  ]);
  fill(byId("day-services"), top.length ? table(say("day.services"), columns, rows, { class: "services" }) : el("p", { class: "quiet" }, say("day.noServices")));
}

// A table is made when it is opened, and again while it stands open.
function later(details, make) {
  const body = details.querySelector("div");
  const write = () => fill(body, details.open ? make() : null);
  details.ontoggle = write;
  write();
}
