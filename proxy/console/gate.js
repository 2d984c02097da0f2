// What the page knows of the gate: its policy and its last day, asked again while somebody looks.

import { get } from "./api.js";

/** How often the figures are asked for, and after how many times the policy is, which is longer and changes less. */
const EVERY = 10_000;
const POLICY_EVERY = 6;

const known = { policy: null, history: null };
const watchers = [];
let timer = null;

export function policy() {
  return known.policy;
}

export function history() {
  return known.history;
}

/** Calls `listener` each time that something new is known. */
export function whenKnown(listener) {
  watchers.push(listener);
}

/** Begins to ask; a page that nobody sees asks nothing. */
export function begin() {
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : refresh()));
  refresh();
}

/** Stops asking, until `refresh` is called again. */
export function stop() {
  clearTimeout(timer);
  timer = null;
}

/** Asks for everything at once: whoever goes somewhere sees what is, not what was. */
export function refresh() {
  return ask(0);
}

async function ask(turn) {
  stop();
  const wanted = turn % POLICY_EVERY === 0 ? ["policy", "history"] : ["history"];
  const answers = await Promise.allSettled(wanted.map((what) => get(what)));
  answers.forEach(({ value }, at) => { known[wanted[at]] = value ?? known[wanted[at]]; });
  for (const watcher of watchers) watcher();
  const isOver = answers.some(({ reason }) => reason?.status === 401 || reason?.status === 403);
  stop();
  if (!document.hidden && !isOver) timer = setTimeout(() => ask(turn + 1), EVERY);
}

/** One of the policy's rules, if it still stands there. */
export function rule(id) {
  return known.policy?.rules.find((rule) => rule.id === id) ?? null;
}

/** Figures of the last day: of one ministry, of one service, or of all that was tried. */
export function totals({ ministry, service } = {}) {
  if (!known.history || (ministry && service)) return null;
  const sum = (values) => [values].flat().reduce((total, value) => total + value, 0);
  const source = service ? known.history.services : known.history.ministries;
  const chosen = source.filter(({ id }) => id === (service ?? ministry ?? id));
  const total = (verdict) => sum(chosen.map((one) => sum(one[verdict])));
  return { deny: total("deny"), observed: total("observed"), allow: total("allow") };
}
