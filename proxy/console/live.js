// Attempts as they happen: the stream fills a queue, the queue is written once a frame however much came, and those who
// hear the page are told now and then how many there were.

import { verdictOf } from "./attempt.js";
import { byId } from "./dom.js";
import * as filters from "./filters.js";
import { say } from "./language.js";
import * as lines from "./lines.js";
import { note } from "./router.js";
import * as stream from "./stream.js";

/** Attempts that wait for their frame or for the end of a pause; the list holds no more. */
const MOST_WAITING = 200;
const SPOKEN_EVERY = 15_000;

let waiting = [];
let held = 0; // what came since the pause began
let state = "opening";
let isPaused = false;
let isShown = false;
let frame = null;

export function begin() {
  lines.begin();
  filters.begin(() => {
    note("live", filters.filter());
    restart();
  });
  byId("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    held = 0;
    soon();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? stream.close() : isShown && follow()));
}

/** Shows the list with the filter of an address. */
export function show(parameters) {
  const before = JSON.stringify(filters.filter());
  filters.set(parameters);
  const isSame = isShown && before === JSON.stringify(filters.filter());
  isShown = true;
  if (!isSame) restart();
}

export function hide() {
  isShown = false;
  stream.close();
}

/** Writes everything anew, in the page's language. */
export function write() {
  filters.show();
  lines.write();
  tell();
}

/** Writes the choices and their figures anew. */
export function refresh() {
  filters.show();
}

function restart() {
  waiting = [];
  held = 0;
  lines.clear();
  byId("live-empty").hidden = true;
  follow();
}

function follow() {
  if (document.hidden) return;
  stream.follow(filters.filter(), { attempt, missed, past, state: changed });
}

function attempt(one) {
  take([one]);
  announce(verdictOf(one), 1);
}

function missed(count) {
  take([{ missed: count }]);
  announce("missed", count);
}

function past(attempts) {
  take(attempts.toReversed());
  byId("live-empty").hidden = lines.count() + waiting.length > 0;
}

function changed(word) {
  state = word;
  tell();
}

function take(arrived) {
  waiting.push(...arrived);
  if (waiting.length > MOST_WAITING) waiting = waiting.slice(-MOST_WAITING);
  held += arrived.length;
  soon();
}

function soon() {
  frame ??= requestAnimationFrame(() => {
    frame = null;
    if (!isPaused) {
      lines.add(waiting);
      waiting = [];
      held = 0;
      byId("live-empty").hidden ||= lines.count() > 0;
    }
    tell();
  });
}

function tell() {
  const word = isPaused ? "paused" : state;
  const node = byId("live-state");
  put(node, say(`live.${word}`, { count: held }));
  node.className = `state ${word}`;
  put(byId("pause"), say(isPaused ? "live.resume" : "live.pause"));
  const count = lines.count();
  put(byId("live-count"), count ? say("live.count", { count }) : "");
}

// Only what differs: a screen reader hears what is written.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

let unsaid = {};
let saying = null;

function announce(what, count) {
  unsaid[what] = (unsaid[what] ?? 0) + count;
  saying ??= setTimeout(speak, SPOKEN_EVERY);
}

function speak() {
  saying = null;
  const { deny = 0, observed = 0, allow = 0, missed = 0 } = unsaid;
  const parts = [["live.spokenNew", deny + observed + allow], ["live.spokenDeny", deny], ["live.spokenObserved", observed], ["live.missed", missed]];
  unsaid = {};
  const told = parts.filter(([, count]) => count > 0).map(([key, count]) => say(key, { count }));
  if (isShown) byId("live-spoken").textContent = told.join(", ");
}
