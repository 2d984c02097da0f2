// Why: the question of `octroi explain` as a form, its answer in the same words.

import { get, Refusal } from "./api.js";
import { verdictMark, verdictOf } from "./attempt.js";
import { byId, el, fill } from "./dom.js";
import { say } from "./language.js";
import { note } from "./router.js";

const FIELDS = ["url", "source", "at", "sni", "cname", "address", "original"];
const LISTS = ["cname", "address"];
const SHOWN = 2; // fields that are not below "more"

let answer = null; // { verdict, mode, rule, derogation, note, text }
let failure = null; // { field: a field's name or null, key or detail }
let isAsking = false;
let asked = "";

export function begin() {
  byId("explain-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
}

/** Fills the form from an address, and asks when both are there. */
export function show(parameters) {
  const text = parameters.toString();
  if (text === asked) return write();
  for (const name of FIELDS) {
    const values = parameters.getAll(name);
    field(name).value = name === "at" ? local(values[0]) : values.join("\n");
  }
  byId("explain-resolve").checked = parameters.get("resolve") === "no";
  byId("explain-more").open = FIELDS.slice(SHOWN).some((name) => field(name).value) || byId("explain-resolve").checked;
  answer = failure = null;
  asked = text;
  write();
  return field("url").value && field("source").value ? ask() : undefined;
}

export function hide() {}

export function refresh() {}

function field(name) {
  return byId(`explain-${name}`);
}

function question() {
  const values = Object.fromEntries(FIELDS.map((name) => [name, field(name).value.trim()]));
  for (const name of LISTS) values[name] = values[name].split(/[\s,;]+/).filter(Boolean);
  values.at = instant(values.at);
  values.resolve = byId("explain-resolve").checked ? "no" : "";
  return values;
}

// The field speaks of the reader's own time, the gate of UTC.
function instant(text) {
  const at = new Date(text);
  return text && !Number.isNaN(at.getTime()) ? at.toISOString() : "";
}

function local(text) {
  const at = new Date(text ?? "");
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

async function ask() {
  if (isAsking) return;
  const wanted = question();
  note("explain", wanted);
  asked = location.hash.split("?")[1] ?? "";
  answer = null;
  failure = missing(wanted);
  if (failure) return told();
  isAsking = true;
  write();
  try {
    answer = await get("explain", wanted);
  } catch (error) {
    failure = error instanceof Refusal && error.detail
      ? { field: FIELDS.includes(error.param) ? error.param : null, detail: error.detail }
      : { field: null, key: "explain.unreachable" };
  }
  isAsking = false;
  return told();
}

function missing({ url, source }) {
  if (!url) return { field: "url", key: "explain.urlMissing" };
  return source ? null : { field: "source", key: "explain.sourceMissing" };
}

function told() {
  write();
  const at = failure?.field;
  if (!at) return;
  if (FIELDS.indexOf(at) >= SHOWN) byId("explain-more").open = true;
  field(at).focus();
}

/** Writes answer and errors anew. */
export function write() {
  for (const name of FIELDS) mark(name);
  byId("explain-submit").textContent = say(isAsking ? "explain.asking" : "explain.submit");
  byId("explain-answer").setAttribute("aria-busy", String(isAsking));
  const general = failure && !failure.field ? el("p", { class: "error", role: "alert" }, words(failure)) : null;
  fill(byId("explain-answer"), general, answer ? verdict() : null);
}

// An error stands at its field, and the field says where it stands.
function mark(name) {
  const input = field(name);
  const error = byId(`explain-${name}-error`);
  const isWrong = failure?.field === name;
  error.hidden = !isWrong;
  fill(error, isWrong ? words(failure) : null);
  input.toggleAttribute("aria-invalid", isWrong);
  if (isWrong) input.setAttribute("aria-invalid", "true");
  const hint = byId(`explain-${name}-hint`) ? `explain-${name}-hint` : "";
  const described = [hint, isWrong ? error.id : ""].filter(Boolean).join(" ");
  if (described) input.setAttribute("aria-describedby", described);
  else input.removeAttribute("aria-describedby");
}

function words({ key, detail }) {
  return key ? say(key) : el("span", { lang: "en" }, detail);
}

function verdict() {
  const { rule, derogation, note: remark, text } = answer;
  return el("div", { class: `answer ${verdictOf(answer)}` },
    el("h2", null, verdictMark(verdictOf(answer))),
    el("p", { class: "grounds" },
      rule ? [say("detail.rule"), " ", el("code", null, rule)] : null,
      rule && derogation ? " · " : null,
      derogation ? [say("detail.derogation"), " ", el("code", null, derogation)] : null),
    remark ? el("p", { class: "quiet", lang: "en" }, remark) : null,
    el("pre", { lang: "en", "aria-label": say("explain.text") }, lines(text)));
}

// Each line a block of its own, so that what does not fit goes on below its own words, and a copy has the lines as they are.
function lines(text) {
  return text.split("\n").map((line) => el("span", null, line));
}
