// Which attempts are shown: by ministry, workload, service and verdict; the choices are those of the policy.

import { byId, choices, el, shape } from "./dom.js";
import { policy, totals } from "./gate.js";
import { compare, named, say, shortNumber, translate } from "./language.js";

const VERDICTS = ["", "deny", "observed", "allow"];
const KEYS = ["ministry", "workload", "service", "verdict"];

const chosen = { ministry: "", workload: "", service: "", verdict: "" };
let changed = () => {};

/** What is chosen, as parameters of the API and of the address. */
export function filter() {
  return { ...chosen };
}

/** Calls `listener` each time that the reader chooses. */
export function begin(listener) {
  changed = listener;
  byId("filter-verdict").append(...VERDICTS.map(tile));
  translate(byId("filter-verdict"));
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
  offer("filter-ministry", say("filter.allMinistries"), chosen.ministry, [
    ...ministries.map((it) => option(it.id, it.label)),
    option("unassigned", say("unassigned")),
  ]);
  const shown = chosen.ministry ? ministries.filter(({ id }) => id === chosen.ministry) : ministries;
  const value = chosen.workload ? `${chosen.ministry}/${chosen.workload}` : "";
  offer("filter-workload", say("filter.allWorkloads"), value, shown.map(workloads));
  offer("filter-service", say("filter.allServices"), chosen.service, [
    ...sorted(policy()?.services).map((it) => option(it.id, it.label)),
    option("unlisted", say("unlisted")),
  ]);
  figures();
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
function offer(id, all, value, options) {
  const flat = options.flatMap((one) => [one, ...(one?.children ?? [])]);
  const isKnown = !value || flat.some((one) => one?.value === value);
  choices(byId(id), [option("", all), ...options, isKnown ? null : option(value, value.split("/").at(-1))]);
  byId(id).value = value;
}

function tile(verdict) {
  return el("label", { class: `tile ${verdict || "all"}` },
    el("input", { type: "radio", name: "verdict", value: verdict }),
    el("span", { class: "tile-word" }, verdict ? shape(verdict) : null, el("span", { "data-say": verdict ? `verdict.${verdict}` : "filter.allVerdicts" })),
    el("span", { class: "tile-figure" }, el("span", { class: "tile-number" }), " ", el("span", { class: "tile-unit", "data-say": "filter.lastDay" })));
}

function figures() {
  const known = chosen.workload ? null : totals({ ministry: chosen.ministry || null, service: chosen.service || null });
  for (const label of byId("filter-verdict").querySelectorAll("label")) {
    const input = label.querySelector("input");
    input.checked = input.value === chosen.verdict;
    const figure = known && (input.value ? known[input.value] : known.deny + known.observed + known.allow);
    label.querySelector(".tile-number").textContent = known ? shortNumber(figure) : "–";
  }
}
