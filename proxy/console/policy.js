// The policy in force: which one, since when, from where, what is wrong with it; its rules and its lists.

import { references } from "./attempt.js";
import { byId, el, facts, fill, isRead, spoken, table } from "./dom.js";
import { policy } from "./gate.js";
import { named, number, say, sayWord, span, whole } from "./language.js";

/** Rows of a table that are written at once. */
const ROWS = 100;
const shown = { rules: ROWS, lists: ROWS };

export function begin() {}

export function show() {
  write();
}

export function hide() {}

/** Writes everything anew. */
export function write() {
  const known = policy();
  byId("policy-body").hidden = !known;
  if (!known) return;
  rejected(known);
  fill(byId("policy-facts"), about(known));
  findings(known);
  fill(byId("policy-rules"), rules(known));
  fill(byId("policy-lists"), lists(known));
  fill(byId("policy-left"), known.left_out ? say("policy.leftOut", { count: known.left_out }) : null);
}

/** Writes what is new, unless somebody is at it. */
export function refresh() {
  if (!isRead(byId("policy-body"))) write();
}

function since(at) {
  return el("time", { datetime: at }, whole(new Date(at)));
}

function rejected({ rejected }) {
  const panel = byId("policy-rejected");
  panel.hidden = !rejected;
  if (!rejected) return fill(panel);
  return fill(panel,
    el("h2", null, say("policy.rejected")),
    el("p", null, say("policy.rejectedAt", { at: whole(new Date(rejected.at)) })),
    findingTable(rejected.findings, say("policy.rejectedFindings")));
}

function about(known) {
  const place = { path: known.path, embedded: null, state: known.saved_at && say("policy.savedAt", { at: whole(new Date(known.saved_at)) }) }[known.from];
  return facts([
    [say("policy.name"), el("strong", null, known.name)],
    [say("policy.digest"), el("code", { class: "value" }, known.digest)],
    [say("policy.loaded"), [since(known.loaded_at), " ", el("span", { class: "aside" }, `(${say("policy.ago", { span: span(age(known.loaded_at)) })})`)]],
    [say("policy.from"), [sayWord("from", known.from), place ? [say("colon"), el("span", { class: "value" }, place)] : null]],
    [say("policy.accepted"), known.accepted && say("policy.acceptedAt", { at: whole(new Date(known.accepted.at)), version: known.accepted.version })],
    [say("policy.state"), known.state && [el("span", { class: "value" }, known.state.path), known.state.problem ? el("strong", { class: "tag bad", lang: "en" }, known.state.problem) : null]],
  ]);
}

function age(at) {
  return Math.max(0, (Date.now() - Date.parse(at)) / 1000);
}

function findings({ findings }) {
  const columns = findings?.length ? findingTable(findings, say("policy.findings")) : el("p", { class: "quiet" }, say("policy.noFindings"));
  fill(byId("policy-findings"), columns);
}

// What is wrong is written in the words of `octroi check`, which are English.
function findingTable(findings, caption) {
  const columns = [[say("policy.severity")], [say("policy.place")], [say("policy.message")]];
  const rows = findings.map(({ severity, code, file, line, column, message, help }) => [
    [el("span", { class: `tag ${severity}` }, sayWord("severity", severity)), el("code", { class: "second" }, code)],
    file ? el("code", { class: "value" }, [file, line, column].filter(Boolean).join(":")) : "–",
    [el("span", { class: "first", lang: "en" }, message), help && el("span", { class: "second", lang: "en" }, help)],
  ]);
  return table(caption, columns, rows, { class: "roomy findings" });
}

function rules(known) {
  const columns = [[say("detail.rule")], [say("policy.effect")], [say("policy.whose")], [say("policy.reason")]];
  const rows = known.rules.map((rule) => [
    el("code", { id: `rule-${rule.id}` }, rule.id), effect(rule), whose(rule),
    [rule.reason && spoken(named(rule.reason, "")), references(rule)],
  ]);
  return bounded("rules", say("policy.rules"), columns, rows);
}

function effect({ effect, mode }) {
  return [
    el("span", { class: `effect ${effect}` }, sayWord("effect", effect)),
    el("span", { class: "second" }, sayWord("mode", mode)),
  ];
}

function whose({ ministry, ministry_name: name }) {
  return ministry ? spoken(named(name, ministry)) : say("policy.national");
}

function lists(known) {
  const columns = [[say("policy.list")], [say("policy.entries"), "amount"], [say("policy.age"), "amount"]];
  const rows = known.lists.map(({ id, entries, modified, age_seconds: seconds }) => [
    el("code", { class: "value" }, id),
    entries === 0 ? el("strong", { class: "tag bad" }, say("policy.empty")) : number(entries),
    modified ? el("time", { datetime: modified, title: whole(new Date(modified)) }, span(seconds ?? 0)) : "–",
  ]);
  return bounded("lists", say("policy.lists"), columns, rows);
}

function bounded(what, caption, columns, rows) {
  const left = rows.length - shown[what];
  const more = el("button", { type: "button", class: "button" }, say("policy.more", { count: left }));
  more.addEventListener("click", () => {
    shown[what] += 10 * ROWS;
    write();
  });
  return [table(caption, columns, rows.slice(0, shown[what]), { class: what === "rules" ? "roomy" : what }), left > 0 ? more : null];
}
