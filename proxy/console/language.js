// The page's language: chosen by the browser, changed by the reader, remembered; words, figures and dates in it.

import { WORDS } from "./words.js";

const KEPT = "octroi.language";
const LOCALES = { fr: "fr-FR", en: "en-GB" };

let current = "fr";
const listeners = [];

export function language() {
  return current;
}

/** Takes the language that was chosen before, else the first of the browser's that the page speaks, else French. */
export function begin() {
  const wanted = [kept(), ...(navigator.languages ?? [])].map((tag) => String(tag).slice(0, 2).toLowerCase());
  set(wanted.find((tag) => tag in WORDS) ?? "fr");
}

export function choose(tag) {
  try {
    localStorage.setItem(KEPT, tag);
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
  set(tag);
}

/** Calls `listener` each time that the language has changed. */
export function whenChanged(listener) {
  listeners.push(listener);
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function set(tag) {
  current = tag;
  document.documentElement.lang = tag;
  formats.clear();
  translate(document);
  for (const listener of listeners) listener();
}

/** Writes the words of everything that names them in the markup: `data-say` for texts, `data-say-label` for names. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of root.querySelectorAll("[data-say-label]")) node.setAttribute("aria-label", say(node.dataset.sayLabel));
}

/** The words for `key`, with `{name}` filled in; where they depend on a number, that is `values.count`. */
export function say(key, values = {}) {
  const words = WORDS[current][key] ?? key;
  const text = typeof words === "string" ? words : words[plural(values.count)] ?? words.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : value;
  });
}

/** The words for a word of the gate, such as an outcome, or that word itself where it is new. */
export function sayWord(family, word) {
  if (word === null || word === undefined) return null;
  const key = `${family}.${word}`;
  return key in WORDS[current] ? say(key) : String(word);
}

/** A name of the policy in the page's language, else in the one it has, else the id. */
export function named(name, id) {
  if (typeof name === "string" && name) return { text: name, lang: null };
  const tags = [current, ...Object.keys(WORDS)];
  const tag = tags.find((one) => typeof name?.[one] === "string" && name[one]);
  return tag ? { text: name[tag], lang: tag } : { text: String(id ?? ""), lang: null };
}

const formats = new Map();

function format(name, make) {
  if (!formats.has(name)) formats.set(name, make(LOCALES[current]));
  return formats.get(name);
}

function plural(count) {
  return format("plural", (locale) => new Intl.PluralRules(locale)).select(count ?? 0);
}

export function number(value) {
  return format("number", (locale) => new Intl.NumberFormat(locale)).format(value);
}

/** A figure short enough for a tile: all of it up to five digits. */
export function shortNumber(value) {
  if (value < 100_000) return number(value);
  const make = (locale) => new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  return format("short", make).format(value);
}

export function compare(a, b) {
  return format("collator", (locale) => new Intl.Collator(locale)).compare(a, b);
}

function dates(name, options) {
  return format(name, (locale) => new Intl.DateTimeFormat(locale, options));
}

/** The time of day, to the second. */
export function clock(instant) {
  return dates("clock", { timeStyle: "medium" }).format(instant);
}

/** The time of day, to the minute. */
export function minute(instant) {
  return dates("minute", { timeStyle: "short" }).format(instant);
}

/** Day and time, to the second. */
export function whole(instant) {
  return dates("whole", { dateStyle: "medium", timeStyle: "medium" }).format(instant);
}

/** A day, as the policy means it: days begin at midnight UTC. */
export function day(instant) {
  return dates("day", { dateStyle: "medium", timeZone: "UTC" }).format(instant);
}

/** Day and month alone. */
export function shortDay(instant) {
  return dates("shortDay", { day: "numeric", month: "short" }).format(instant);
}

export function timeZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** How long something has lasted, in its largest unit: `3 days`. */
export function span(seconds) {
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  const make = (locale) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
  return format(`span-${unit}`, make).format(Math.floor(seconds / size));
}
