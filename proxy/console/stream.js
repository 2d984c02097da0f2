// The gate's stream of attempts: opened, lost, opened again. It is held only while somebody looks, because a browser has
// six connections to the gate for all its pages together.

import { address, get, session } from "./api.js";

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
/** A stream that is back before that was not lost: the gate ends each now and then. */
const PATIENCE = 2_500;

/** Attempts of the past that are asked for when a stream begins. */
export const BACKLOG = 200;

let source = null;
let wanted = null; // { filter, listener }
let pause = FIRST_PAUSE;
let retry = null;
let alarm = null;

/**
 * Follows the attempts that `filter` lets through. `listener` has `attempt(it)`, `missed(count)`, `past(attempts)` and
 * `state(word)`, where a word is `opening`, `live` or `lost`.
 */
export function follow(filter, listener) {
  close();
  wanted = { filter, listener };
  listener.state("opening");
  open();
}

export function close() {
  clearTimeout(retry);
  calm();
  source?.close();
  source = null;
  wanted = null;
}

function open() {
  const { filter, listener } = wanted;
  const mine = new EventSource(address("attempts/stream", filter));
  source = mine;
  mine.addEventListener("open", () => {
    pause = FIRST_PAUSE;
    calm();
    listener.state("live");
    past(mine, wanted);
  });
  mine.addEventListener("attempt", ({ data }) => listener.attempt(JSON.parse(data)));
  mine.addEventListener("missed", ({ data }) => listener.missed(JSON.parse(data).count));
  mine.addEventListener("error", () => mine === source && lost(mine));
}

// Asked for once the stream stands, so that nothing falls between the two; what comes twice has the same number.
async function past(mine, { filter, listener }) {
  const answer = await get("attempts", { ...filter, limit: BACKLOG }).catch(() => null);
  if (answer && mine === source) listener.past(answer.attempts);
}

// A browser opens a stream again by itself when it breaks, and never when it was refused: too many, or signed out.
function lost(mine) {
  const { listener } = wanted;
  alarm ??= setTimeout(() => listener.state("lost"), PATIENCE);
  if (mine.readyState === EventSource.CLOSED) again();
}

function calm() {
  clearTimeout(alarm);
  alarm = null;
}

function again() {
  source = null;
  clearTimeout(retry);
  retry = setTimeout(async () => {
    const mine = wanted;
    const answer = await session().catch(() => null);
    if (mine === null || mine !== wanted) return;
    if (answer?.open) open();
    else if (!answer) again();
  }, pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}
