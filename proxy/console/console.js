// The console: which view is shown, in which language, to whom. Everything else is in the module named after it.

import { whenClosed } from "./api.js";
import * as day from "./day.js";
import * as derogations from "./derogations.js";
import { byId, el, fill } from "./dom.js";
import * as explain from "./explain.js";
import * as gate from "./gate.js";
import * as language from "./language.js";
import * as live from "./live.js";
import * as policy from "./policy.js";
import { place, to, VIEWS, whenMoved } from "./router.js";
import * as session from "./session.js";

const { say } = language;
const views = { live, day, derogations, policy, explain };

let shown = null; // the name of the view, `session` while the console is shut
let isStarted = false;

async function begin() {
  language.begin();
  language.whenChanged(write);
  for (const view of Object.values(views)) view.begin();
  for (const tag of ["fr", "en"]) byId(`language-${tag}`).addEventListener("click", () => language.choose(tag));
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("title").focus();
  });
  write();
  session.begin(open);
  whenClosed(shut);
  whenMoved((where) => shown !== "session" && show(where, true));
  gate.whenKnown(refresh);
  if (await session.look()) await open();
  else shut();
}

async function open() {
  byId("nav").hidden = false;
  if (isStarted) gate.refresh();
  else gate.begin();
  isStarted = true;
  show(place(), shown === "session");
}

let isLooking = false;

// Asked again, because whoever is refused one thing may have lost the session or the gate its setting.
async function shut() {
  if (isLooking) return;
  isLooking = true;
  const isOpen = await session.look();
  isLooking = false;
  if (isOpen) return;
  gate.stop();
  views[shown]?.hide();
  shown = "session";
  byId("nav").hidden = true;
  for (const name of [...VIEWS, "session"]) byId(`view-${name}`).hidden = name !== "session";
  write();
}

function show({ view, parameters }, isMove) {
  const isNew = view !== shown;
  if (isNew) views[shown]?.hide?.();
  shown = view;
  for (const name of [...VIEWS, "session"]) byId(`view-${name}`).hidden = name !== view;
  for (const name of VIEWS) {
    const link = byId(`to-${name}`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  head();
  views[view].show(parameters);
  if (isNew && isMove) {
    gate.refresh();
    byId("title").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** Writes the whole page anew, in another language. */
function write() {
  for (const tag of ["fr", "en"]) byId(`language-${tag}`).setAttribute("aria-pressed", String(tag === language.language()));
  session.write();
  head();
  about();
  views[shown]?.write();
}

/** Writes what depends on what is known of the gate. */
function refresh() {
  about();
  views[shown]?.refresh();
}

function head() {
  if (!shown) return;
  const title = say(shown === "session" ? session.title() : `view.${shown}`);
  byId("title").textContent = title;
  document.title = `${title} · Octroi`;
}

function about() {
  const known = gate.policy();
  alarm(shown === "session" ? null : known?.rejected);
  const ending = derogations.ending();
  const badge = () => el("span", { class: "badge" }, language.number(ending), el("span", { class: "unseen" }, ` ${say("derogations.endingSoon")}`));
  fill(byId("derogations-badge"), ending ? badge() : null);
  byId("policy-name").textContent = known ? say("footer.policy", { name: known.name, digest: known.digest.slice(0, 12) }) : "";
  byId("zone").textContent = say("footer.zone", { zone: language.timeZone() });
}

// Said once: what is written again is read out again.
function alarm(rejected) {
  const node = byId("alarm");
  const text = rejected ? say("policy.rejectedAt", { at: language.whole(new Date(rejected.at)) }) : "";
  node.hidden = !rejected;
  if (node.dataset.said === text) return;
  node.dataset.said = text;
  fill(node, rejected ? [el("strong", null, say("policy.rejected")), ` ${text} `, el("a", { href: to("policy") }, say("policy.see"))] : null);
}

begin();
