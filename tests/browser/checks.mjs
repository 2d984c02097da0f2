// What is checked of a page. Each takes (page, visit, facts, requests) and gives its findings; none changes the page for good.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESK = { width: 1280, height: 800 };

// Every rule of WCAG 2.2 A and AA and of good practice; "incomplete" contrasts are findings too.
export async function axe(page, visit, facts) {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: AXE });
  const run = "axe.run(document, { resultTypes: ['violations', 'incomplete', 'passes'], rules: { 'target-size': { enabled: true } } })"
    + ".then((r) => JSON.stringify({ violations: r.violations, incomplete: r.incomplete, passes: r.passes.map((p) => p.id) }))";
  const answer = await session.send("Runtime.evaluate", { expression: run, awaitPromise: true, returnByValue: true });
  await session.detach();
  if (answer.exceptionDetails) throw new Error(`axe: ${JSON.stringify(answer.exceptionDetails)}`);
  const { violations, incomplete, passes } = JSON.parse(answer.result.value);
  facts.axe = passes;
  const unsure = incomplete.filter((one) => one.id === "color-contrast");
  return [...violations, ...unsure].flatMap((one) => one.nodes.map((node) => ({
    message: `${one.impact}: ${one.id}: ${one.help}`, where: node.html,
  })));
}

// WCAG 1.4.10: 320 CSS pixels wide, nothing to scroll sideways.
export async function reflow(page, visit) {
  await page.setViewportSize({ width: 320, height: 640 });
  const found = await page.evaluate(overflows, visit.hidden ?? "");
  await page.setViewportSize(DESK);
  return found.map((where) => ({ message: "sticks out at 320 px", where }));
}

// WCAG 1.4.4: text at 200 %, on a desk's screen and on a telephone turned sideways.
export async function zoom(page, visit) {
  const findings = [];
  for (const viewport of [DESK, { width: 640, height: 360 }]) {
    await page.setViewportSize(viewport);
    const before = await page.evaluate(() => parseFloat(getComputedStyle(document.body).fontSize));
    await page.evaluate(() => { document.documentElement.style.fontSize = "200%"; });
    const after = await page.evaluate(() => parseFloat(getComputedStyle(document.body).fontSize));
    if (after < before * 1.99) findings.push({ message: `text does not grow: ${before} to ${after} px` });
    const found = await page.evaluate(overflows, visit.hidden ?? "");
    findings.push(...found.map((where) => ({ message: `sticks out with text at 200 % on ${viewport.width} px`, where })));
    await page.evaluate(() => { document.documentElement.style.fontSize = ""; });
  }
  await page.setViewportSize(DESK);
  return findings;
}

// Elements that are wider than what they stand in, and text that is cut off; but for what is kept from sight and
// meant to be. Runs in the page.
function overflows(unseen) {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page: ${root.scrollWidth} of ${root.clientWidth} px`);
  for (const element of document.body.querySelectorAll("*")) {
    if (unseen && element.closest(unseen)) continue;
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const hidden = style.overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1;
    if (box.right > root.clientWidth + 1 || box.left < -1 || hidden) found.push(element.outerHTML.slice(0, 120));
  }
  return found;
}

// Paper: black on white whatever the scheme, all that is read on the screen but the navigation, no page for nothing.
export async function print(page, visit, facts) {
  const findings = [];
  const screen = await page.evaluate(visibleTexts);
  await page.emulateMedia({ media: "print", colorScheme: visit.scheme ?? "light" });
  const paper = await page.evaluate(visibleTexts);
  const colours = await page.evaluate(inks);
  const pdf = await page.pdf({ format: "A4", margin: { top: "15mm", bottom: "15mm", left: "15mm", right: "15mm" } });
  await page.emulateMedia({ media: "screen", colorScheme: visit.scheme ?? "light" });
  const shown = new Set(paper);
  for (const text of screen) if (!shown.has(text)) findings.push({ message: "is not on paper", where: text });
  for (const text of visit.kept ?? []) {
    if (!paper.some((line) => line.includes(text))) findings.push({ message: "is not on paper", where: text });
  }
  for (const { what, ink, ground } of colours) {
    if (ground < 0.95) findings.push({ message: `dark ground on paper (${ground})`, where: what });
    if (ink > 0.2) findings.push({ message: `pale ink on paper (${ink})`, where: what });
  }
  facts.sheets = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? []).length;
  return findings;
}

// Texts that can be read, but for those of a navigation. Runs in the page.
function visibleTexts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (text && element.checkVisibility() && !element.closest("nav, style")) texts.push(text);
  }
  return texts;
}

// Luminances of text and of what is behind it. Runs in the page.
function inks() {
  const luminance = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return a === 0 ? null : 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  return [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility()).map((element) => {
    const ground = luminance(getComputedStyle(element).backgroundColor);
    return { what: element.outerHTML.slice(0, 80), ink: luminance(getComputedStyle(element).color), ground: ground ?? 1 };
  });
}

// Keyboard alone: Tab reaches every control once, in reading order, each with a focus that is seen.
export async function keyboard(page, visit, facts) {
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  const wanted = await page.evaluate(controls, CONTROLS);
  const reached = [];
  const findings = [];
  for (let turn = 0; turn < wanted.length + 2; turn += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(focused, CONTROLS);
    if (!at || reached.includes(at.index)) break;
    reached.push(at.index);
    if (!at.seen) findings.push({ message: "its focus is not seen", where: at.html });
    if (!at.inView) findings.push({ message: "is focused out of view", where: at.html });
  }
  facts.controls = wanted.length;
  for (const [index, html] of wanted.entries()) {
    if (!reached.includes(index)) findings.push({ message: "is not reached by Tab", where: html });
  }
  const inOrder = reached.every((index, turn) => turn === 0 || index > reached[turn - 1]);
  if (!inOrder) findings.push({ message: `Tab does not follow reading: ${reached}` });
  return findings;
}

const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])";

function controls(selector) {
  const all = [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility() && !one.disabled);
  return all.map((element) => element.outerHTML.slice(0, 120));
}

function focused(selector) {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const all = [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility() && !one.disabled);
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    index: all.indexOf(element),
    html: element.outerHTML.slice(0, 120),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    inView: box.bottom > 0 && box.top < innerHeight,
  };
}

// A page language, a title, one main heading in one main landmark, banner and contentinfo, headings a step at a time.
export async function structure(page, visit, facts) {
  const found = await page.evaluate(() => ({
    lang: document.documentElement.lang,
    title: document.title,
    h1: document.querySelectorAll("main h1").length,
    allH1: document.querySelectorAll("h1").length,
    landmarks: ["body > header", "body > main", "body > footer"].filter((one) => document.querySelectorAll(one).length !== 1),
    levels: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.tagName[1])),
    scripts: document.querySelectorAll("script, iframe, object, embed, img, form, link, [style]").length,
    handlers: [...document.querySelectorAll("*")].flatMap((e) => [...e.attributes]).filter((a) => a.name.startsWith("on")).length,
  }));
  facts.levels = found.levels;
  const findings = [];
  if (found.lang !== (visit.language ?? "fr")) findings.push({ message: `language of the page is \`${found.lang}\`` });
  if (!found.title.trim()) findings.push({ message: "no title" });
  if (found.h1 !== 1 || found.allH1 !== 1) findings.push({ message: `${found.allH1} main headings` });
  for (const one of found.landmarks) findings.push({ message: `not exactly one ${one}` });
  if (found.levels.some((level, at) => at > 0 && level > found.levels[at - 1] + 1)) findings.push({ message: `headings skip a level: ${found.levels}` });
  if (visit.plain !== false && found.scripts) findings.push({ message: "scripts, frames, images, forms or styles of its own" });
  if (found.handlers) findings.push({ message: "event handlers in the markup" });
  return findings;
}

// Texts that must be marked with a language of their own.
export async function languages(page, visit) {
  const wanted = visit.marked ?? [];
  const found = await page.evaluate((texts) => texts.map((text) => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const tags = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.textContent.includes(text)) tags.push(node.parentElement.closest("[lang]").lang);
    }
    return tags;
  }), wanted.map(([text]) => text));
  return wanted.flatMap(([text, tag], at) => {
    if (!found[at].length) return [{ message: "is not on the page", where: text }];
    return found[at].filter((seen) => seen !== tag).map((seen) => ({ message: `is marked ${seen}, not ${tag}`, where: text }));
  });
}

// An incident number: one click takes the whole of it and nothing else, and it is read out letter by letter.
export async function incident(page, visit, facts) {
  const numbers = await page.$$(".number");
  if (!numbers.length) return [{ message: "no incident number" }];
  const findings = [];
  for (const number of numbers) {
    const text = await number.textContent();
    await number.click();
    const taken = await page.evaluate(() => getSelection().toString().trim());
    if (taken !== text) findings.push({ message: `a click takes \`${taken}\``, where: text });
    const aloud = await number.getAttribute("aria-label");
    const spelled = text.split("-").map((group) => [...group].join(" ")).join(", ");
    if (aloud !== spelled) findings.push({ message: `is read out as \`${aloud}\``, where: text });
    if (!/^[0-9A-Z]{4}(-[0-9A-Z]{4}){3}$/.test(text)) findings.push({ message: "is not in groups of four", where: text });
  }
  facts.incident = await numbers[0].textContent();
  return findings;
}

// Nothing is loaded but the page itself.
export async function alone(page, visit, facts, requests) {
  const others = requests.filter((url) => url.split("#")[0] !== visit.url && !(visit.steps ?? []).length);
  return others.map((where) => ({ message: "is loaded beside the page", where }));
}
