// What the page knows of the gate: its policy and its last day, asked again while somebody looks.

import { get } from "./api.js";

const EVERY = 30_000;
/** What is younger is not asked again when the reader goes from view to view. */
const FRESH = 1_000;

const known = { policy: null, history: null };
const watchers = [];
let timer = null;
let asked = 0;

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
  return refresh();
}

/** Stops asking, until `refresh` is called again. */
export function stop() {
  clearTimeout(timer);
  timer = null;
}

/** Asks again, unless that was done just now: a reader who goes somewhere sees what is, not what was. */
export function glance() {
  if (performance.now() - asked > FRESH) refresh();
}

export async function refresh() {
  stop();
  asked = performance.now();
  const answers = await Promise.allSettled([get("policy"), get("history")]);
  const [policy, history] = answers.map((answer) => (answer.status === "fulfilled" ? answer.value : null));
  known.policy = policy ?? known.policy;
  known.history = history ?? known.history;
  for (const watcher of watchers) watcher();
  const isOver = answers.some(({ reason }) => reason?.status === 401 || reason?.status === 403);
  if (!document.hidden && !isOver) {
    stop();
    timer = setTimeout(refresh, EVERY);
  }
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
