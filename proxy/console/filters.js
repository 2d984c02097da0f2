// Which attempts are shown: by ministry, workload, service and verdict; the choices are those of the policy.

import { byId, el, fill, shape } from "./dom.js";
import { policy, totals } from "./gate.js";
import { compare, named, say, shortNumber } from "./language.js";

const VERDICTS = ["", "deny", "observed", "allow"];
const KEYS = ["ministry", "workload", "service", "verdict"];

const chosen = { ministry: "", workload: "", service: "", verdict: "" };
let changed = () => {};

/** What is chosen, as parameters of the API and of the address. */
export function filter() {
  return { ...chosen };
}

export function begin(listener) {
  changed = listener;
  byId("filter-ministry").addEventListener("change", (event) => take({ ministry: event.target.value, workload: "" }));
  byId("filter-workload").addEventListener("change", (event) => {
    const [ministry, workload] = event.target.value ? event.target.value.split("/") : [chosen.ministry, ""];
    take({ ministry, workload });
  });
  byId("filter-service").addEventListener("change", (event) => take({ service: event.target.value }));
  byId("filter-verdict").addEventListener("change", (event) => take({ verdict: event.target.value }));
  byId("filter-clear").addEventListener("click", () => {
    take({ ministry: "", workload: "", service: "", verdict: "" });
    byId("filter-ministry").focus();
  });
}

function take(choice) {
  Object.assign(chosen, choice);
  show();
  changed();
}

/** Takes the choice of an address. */
export function set(parameters) {
  for (const key of KEYS) chosen[key] = parameters.get(key) ?? "";
  if (!VERDICTS.includes(chosen.verdict)) chosen.verdict = "";
  if (!chosen.ministry) chosen.workload = "";
  show();
}

/** Writes the choices anew: after a change of language, policy or figures. */
export function show() {
  const ministries = sorted(policy()?.ministries);
  choices("filter-ministry", say("filter.allMinistries"), chosen.ministry, [
    ...ministries.map((it) => option(it.id, it.label)),
    option("unassigned", say("unassigned")),
  ]);
  const shown = chosen.ministry ? ministries.filter(({ id }) => id === chosen.ministry) : ministries;
  const value = chosen.workload ? `${chosen.ministry}/${chosen.workload}` : "";
  choices("filter-workload", say("filter.allWorkloads"), value, shown.map(workloads));
  choices("filter-service", say("filter.allServices"), chosen.service, sorted(policy()?.services).map((it) => option(it.id, it.label)));
  verdicts();
  byId("filter-clear").hidden = KEYS.every((key) => !chosen[key]);
}

function sorted(things) {
  const labelled = (things ?? []).map((thing) => ({ ...thing, label: named(thing.name, thing.id).text }));
  return labelled.sort((a, b) => compare(a.label, b.label));
}

function workloads({ id, label, workloads }) {
  const options = (workloads ?? []).map((it) => option(`${id}/${it.id}`, named(it.name, it.id).text));
  return options.length ? el("optgroup", { label }, options) : null;
}

function option(value, label) {
  return el("option", { value }, label);
}

// A value that the policy does not know any more stays a choice, so that the address keeps meaning what it says.
function choices(id, all, value, options) {
  const select = fill(byId(id), option("", all), options);
  select.value = value;
  if (select.value !== value) {
    select.append(option(value, value.split("/").at(-1)));
    select.value = value;
  }
}

function verdicts() {
  const group = byId("filter-verdict");
  const focused = group.contains(document.activeElement);
  const figures = chosen.workload ? null : totals({ ministry: chosen.ministry || null, service: chosen.service || null });
  const all = figures && figures.deny + figures.observed + figures.allow;
  fill(group, el("legend", { class: "unseen" }, say("live.verdict")), VERDICTS.map((verdict) => {
    const figure = verdict ? figures?.[verdict] : all;
    return tile(verdict, figure);
  }));
  if (focused) group.querySelector("input:checked").focus();
}

function tile(verdict, figure) {
  const input = el("input", { type: "radio", name: "verdict", value: verdict });
  input.checked = chosen.verdict === verdict;
  const told = figure === null || figure === undefined ? "–" : shortNumber(figure);
  return el("label", { class: `tile ${verdict || "all"}` }, input,
    el("span", { class: "tile-word" }, verdict ? shape(verdict) : null, say(verdict ? `verdict.${verdict}` : "filter.allVerdicts")),
    el("span", { class: "tile-figure" }, told, el("span", { class: "tile-unit" }, " ", say("filter.lastDay"))));
}
