// One attempt: its line in the list, and all that is told of it when the line is opened.

import { el, facts, shape, spoken, webLink } from "./dom.js";
import { policy, rule } from "./gate.js";
import { clock, named, say, sayWord, shortDay, whole } from "./language.js";
import { to } from "./router.js";

/** `deny`, `observed` (let through, would be refused) or `allow`. */
export function verdictOf({ verdict, mode }) {
  if (verdict === "allow") return "allow";
  return mode === "observed" ? "observed" : "deny";
}

/** The verdict by shape and by word. */
export function verdictMark(verdict) {
  return el("span", { class: `verdict ${verdict}` }, shape(verdict), say(`verdict.${verdict}`));
}

export function keyOf(attempt) {
  return `${attempt.seq}/${attempt.incident}`;
}

// A machine of no ministry has no workload, and a flow that ended early no sensitivity.
function use({ ministry, workload, sensitivity }) {
  const word = sayWord("sensitivity", sensitivity);
  if (!workload || ministry.id === "unassigned") return word;
  return word ? `${workload.id} (${word})` : workload.id;
}

/** What was asked for, as one would type it. */
export function asked({ target, port }) {
  const host = String(target).includes(":") ? `[${target}]` : target;
  return `${host}:${port}`;
}

/** The line: `detail` is the id of what it opens. */
export function line(attempt, detail) {
  const opener = el("button", { type: "button", class: "opener value", "aria-expanded": "false", "aria-controls": detail }, asked(attempt));
  const cells = [
    ["time", say("live.time"), instant(attempt)],
    ["judged", say("live.verdict"), verdictMark(verdictOf(attempt))],
    ["who", say("live.who"), who(attempt)],
    ["what", say("live.what"), [opener, el("span", { class: "second" }, service(attempt))]],
    ["why", say("live.why"), why(attempt)],
  ];
  return el("tr", { role: "row", class: `attempt ${verdictOf(attempt)}` },
    cells.map(([kind, heading, cell]) => el("td", { role: "cell", class: kind, "data-heading": heading }, cell)));
}

function instant({ at }) {
  const when = new Date(at);
  const isToday = when.toDateString() === new Date().toDateString();
  return el("time", { datetime: at, title: whole(when) },
    clock(when), isToday ? null : el("span", { class: "second" }, shortDay(when)));
}

function who(attempt) {
  return [
    el("span", { class: "first" }, ministry(attempt)),
    el("span", { class: "second" }, workload(attempt), attempt.client && el("span", { class: "value" }, attempt.client)),
  ];
}

function ministry({ ministry }) {
  return ministry.id === "unassigned" ? say("unassigned") : spoken(named(ministry.name, ministry.id));
}

function workload({ ministry, workload }) {
  return workload && ministry.id !== "unassigned" ? `${workload.id} · ` : null;
}

function service({ service, provider }) {
  if (service) return spoken(named(service.name, service.id));
  return provider ? say("live.provider", { provider }) : say("unlisted");
}

function why(attempt) {
  const ground = attempt.rule ? el("code", null, attempt.rule) : groundOf(attempt);
  const lifted = attempt.derogation ? el("span", null, say("live.lifted"), " ", el("code", null, attempt.derogation)) : null;
  return [
    el("span", { class: "first" }, lifted ?? ground),
    attempt.evidence ? el("span", { class: "second" }, evidence(attempt.evidence)) : null,
  ];
}

// What was let through whatever was tried has no ground to tell.
function groundOf(attempt) {
  return verdictOf(attempt) === "allow" ? null : sayWord("ground", attempt.reason);
}

/** The piece that decided: `DNS alias → contoso.mail.protection.outlook.com`. */
function evidence({ kind, value }) {
  return el("span", null, sayWord("evidence", kind), " → ", el("span", { class: "value" }, value));
}

/** Everything that is known of the attempt. */
export function detail(attempt) {
  const verdict = verdictOf(attempt);
  const text = rule(attempt.rule);
  return el("div", { class: "detail" },
    el("p", { class: "why-sentence" }, verdictMark(verdict), " ", reason(text)),
    facts([
      [say("detail.at"), el("time", { datetime: attempt.at }, whole(new Date(attempt.at)))],
      [say("detail.asked"), [el("span", { class: "value" }, asked(attempt)), " (", sayWord("protocol", attempt.protocol), ")"]],
      [say("live.ministry"), ministry(attempt)],
      [say("live.workload"), use(attempt)],
      [say("detail.client"), attempt.client ? el("span", { class: "value" }, attempt.client) : say("detail.noClient")],
      [say("live.service"), service(attempt)],
      [say("detail.rule"), attempt.rule && el("code", null, attempt.rule)],
      [say("detail.ground"), attempt.rule ? null : groundOf(attempt)],
      [say("detail.derogation"), attempt.derogation && el("code", null, attempt.derogation)],
      [say("detail.evidence"), attempt.evidence && evidence(attempt.evidence)],
      [say("detail.agreement"), sayWord("agreement", attempt.agreement)],
      [say("detail.sni"), attempt.sni && el("span", { class: "value" }, attempt.sni)],
      [say("detail.incident"), attempt.incident && el("code", { class: "number" }, attempt.incident)],
      [say("detail.texts"), references(text)],
    ]),
    el("p", null, el("a", { class: "button", href: explanation(attempt) }, say("detail.explain"))));
}

function reason(rule) {
  return rule?.reason ? spoken(named(rule.reason, "")) : null;
}

/** What a rule rests on, as links. */
export function references(rule) {
  const known = (id) => policy()?.references?.find((text) => text.id === id) ?? { id };
  const all = (rule?.references ?? []).map(known);
  return all.length ? el("ul", { class: "plain" }, all.map(({ id, title, url }) => el("li", null, webLink(url, spoken(named(title, id)))))) : null;
}

/** The form, filled with what is known of the attempt, so that it is judged again as the gate saw it. */
function explanation(attempt) {
  const { evidence, client } = attempt;
  const isAddress = typeof client === "string" && /[.:]/.test(client);
  return to("explain", {
    url: attempt.protocol === "http" ? `http://${asked(attempt)}/` : asked(attempt),
    source: isAddress ? client : null,
    sni: attempt.sni && attempt.sni !== attempt.target ? attempt.sni : null,
    cname: evidence?.kind === "cname" ? evidence.value : null,
    address: evidence?.kind === "address" ? evidence.value : null,
    original: evidence?.kind === "original" ? evidence.value : null,
  });
}
