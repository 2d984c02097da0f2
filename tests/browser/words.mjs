// The words of the console. By itself (`node words.mjs`) it compares the two tables with each other and with their uses, and
// ends non-zero with what is wrong.

import { readdir, readFile } from "node:fs/promises";

const FOLDER = new URL("../../proxy/console/", import.meta.url);

const sources = new Map();
for (const name of await readdir(FOLDER)) sources.set(name, await readFile(new URL(name, FOLDER), "utf8"));
// As a module, whatever node takes a lone `.js` for.
const { WORDS } = await import(`data:text/javascript,${encodeURIComponent(sources.get("words.js"))}`);

function forms(words) {
  return typeof words === "string" ? [words] : Object.values(words);
}

function places(words) {
  return forms(words).map((text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join());
}

function pattern(text) {
  const parts = text.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".+")}$`, "u");
}

/** Those of `texts` that are words of another language than `tag` and not of it. */
export function strangers(texts, tag) {
  const of = (tags) => tags.flatMap((one) => Object.values(WORDS[one]).flatMap(forms));
  const own = new Set(of([tag]));
  const others = of(Object.keys(WORDS).filter((one) => one !== tag)).filter((text) => !own.has(text) && /\p{L}/u.test(text.replace(/\{\w+\}/g, "")));
  const patterns = others.map(pattern);
  return texts.filter((text) => !own.has(text) && patterns.some((one) => one.test(text)));
}

function compared() {
  const wrong = [];
  const [[first, one], [second, other]] = Object.entries(WORDS);
  for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
    if (!(key in one)) wrong.push(`${key}: not in ${first}`);
    else if (!(key in other)) wrong.push(`${key}: not in ${second}`);
    else {
      if ([...forms(one[key]), ...forms(other[key])].some((text) => !text.trim())) wrong.push(`${key}: empty`);
      if (new Set([...places(one[key]), ...places(other[key])]).size !== 1) wrong.push(`${key}: other placeholders`);
      if (typeof one[key] !== typeof other[key]) wrong.push(`${key}: counts in one language only`);
    }
  }
  for (const [tag, table] of Object.entries(WORDS)) {
    for (const [key, words] of Object.entries(table)) if (typeof words !== "string" && !words.other) wrong.push(`${key}: no form for many in ${tag}`);
  }
  return wrong;
}

function used() {
  const code = [...sources].filter(([name]) => name !== "words.js").map(([, text]) => text).join("\n");
  const keys = Object.keys(WORDS.fr);
  const asked = [...code.matchAll(/(?:\bsay\(|data-say(?:-label)?=)"([^"]+)"/g)].map(([, key]) => key);
  const unknown = asked.filter((key) => !keys.includes(key)).map((key) => `${key}: asked for and not there`);
  const families = new Set([...code.matchAll(/[`"]([a-z]+)\.\$\{|sayWord\("([a-z]+)"/g)].map(([, a, b]) => a ?? b));
  const isUsed = (key) => code.includes(`"${key}"`) || families.has(key.split(".")[0]);
  return [...unknown, ...keys.filter((key) => !isUsed(key)).map((key) => `${key}: never used`)];
}

// French spacing: a space that does not break before what is high, typographic apostrophes.
function spelled() {
  const texts = Object.entries(WORDS.fr).flatMap(([key, words]) => forms(words).map((text) => [key, text]));
  return texts.filter(([, text]) => / [;:!?»]|« |'/.test(text)).map(([key]) => `${key}: French spacing or apostrophe`);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const wrong = [...compared(), ...used(), ...spelled()];
  for (const one of wrong) console.error(one);
  console.log(`${Object.keys(WORDS.fr).length} words in each of ${Object.keys(WORDS).length} languages`);
  process.exitCode = wrong.length ? 1 : 0;
}
