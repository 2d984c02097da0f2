// A browser that a test leads by the hand: `node console.mjs`, one command a line in, one answer a line out.
//
// In:  { "chromium": PATH } first, then { "page": NAME, "do": WHAT, … }; the end of input ends it
// Out: { "is": VALUE } or { "failed": WHY }
//
// WHAT is one of `commands`. WHERE is a selector of Playwright (CSS, `text=…`, `role=…`). Nothing waits longer than DEADLINE.

import { createInterface } from "node:readline";
import * as checks from "./checks.mjs";
import { strangers } from "./words.mjs";
import { listen, withBrowser } from "./chromium.mjs";

const DEADLINE = 20_000;
/** What the console says to those who hear it, and clips on purpose. */
const HIDDEN = ".unseen, .skip, .axis, thead";
const pages = new Map(); // name → { page, findings, requests, visit }

const commands = {
  // { url, language?, scheme?, width?, height?, reduced?, forced?, streams? }: `streams` is answered in place of the gate's stream
  async open(browser, it) {
    const context = await browser.newContext({
      locale: it.language === "en" ? "en-GB" : "fr-FR",
      colorScheme: it.scheme ?? "light",
      viewport: { width: it.width ?? 1280, height: it.height ?? 800 },
      reducedMotion: it.reduced ? "reduce" : "no-preference",
      forcedColors: it.forced ? "active" : "none",
      timezoneId: "Europe/Paris",
      ignoreHTTPSErrors: true,
    });
    context.setDefaultTimeout(DEADLINE);
    const page = await context.newPage();
    const own = { page, findings: [], requests: [], visit: { plain: false, hidden: HIDDEN } };
    pages.set(it.page, own);
    listen(page, own.findings);
    page.on("request", (request) => own.requests.push(request.url()));
    await page.addInitScript(() => {
      window.violations = [];
      addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
    });
    if (it.streams) {
      const body = it.streams;
      await page.route("**/attempts/stream*", (route) => route.fulfill({ contentType: "text/event-stream", body }));
    }
    const answer = await page.goto(it.url);
    return answer.status();
  },
  async goto({ page }, it) {
    await page.goto(it.url);
  },
  async click({ page }, it) {
    await page.click(it.where);
  },
  async fill({ page }, it) {
    await page.fill(it.where, it.with);
  },
  async press({ page }, it) {
    await page.keyboard.press(it.key);
  },
  async type({ page }, it) {
    await page.keyboard.type(it.text);
  },
  async select({ page }, it) {
    await page.selectOption(it.where, it.value);
  },
  async wait({ page }, it) {
    await page.locator(it.where).first().waitFor({ state: it.state ?? "visible" });
  },
  // until so many are there, no more and no fewer
  async waitCount({ page }, it) {
    await page.waitForFunction(([where, count]) => document.querySelectorAll(where).length === count, [it.where, it.count]);
  },
  async text({ page }, it) {
    return page.innerText(it.where);
  },
  async value({ page }, it) {
    return page.inputValue(it.where);
  },
  async count({ page }, it) {
    return page.locator(it.where).count();
  },
  async attribute({ page }, it) {
    return page.getAttribute(it.where, it.name);
  },
  async address({ page }) {
    return page.url();
  },
  async resize({ page }, it) {
    await page.setViewportSize({ width: it.width, height: it.height });
  },
  // Presses Tab until the focus is there: what a person without a mouse does.
  async tab({ page }, it) {
    for (let turn = 0; turn < 60; turn += 1) {
      await page.keyboard.press(it.back ? "Shift+Tab" : "Tab");
      if (await page.evaluate((where) => document.activeElement?.matches(where), it.where)) return turn + 1;
    }
    throw new Error(`Tab does not reach ${it.where}`);
  },
  async focused({ page }) {
    return page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return { id: document.activeElement.id, text: document.activeElement.innerText, outline: parseFloat(style.outlineWidth), style: style.outlineStyle };
    });
  },
  // Words of the language that the page is not in: of every text that can be read, and every name that is read out.
  async strangers({ page }) {
    const texts = await page.evaluate(() => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const found = new Set();
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.textContent.trim() && node.parentElement.checkVisibility()) found.add(node.textContent.trim());
      }
      for (const node of document.querySelectorAll("[aria-label]")) if (node.checkVisibility()) found.add(node.getAttribute("aria-label"));
      return [...found];
    });
    return strangers(texts, await page.getAttribute("html", "lang"));
  },
  // { names: checks of checks.mjs } → findings
  async check(own, it) {
    const found = [];
    const facts = {};
    own.visit.language = await own.page.getAttribute("html", "lang");
    for (const name of it.names) {
      if (!(name in checks)) throw new Error(`no such check: ${name}`);
      for (const finding of await checks[name](own.page, own.visit, facts, own.requests)) found.push({ check: name, ...finding });
    }
    if (it.names.includes("axe") && (facts.axe?.length ?? 0) < 15) found.push({ check: "axe", message: `ran ${facts.axe?.length} rules` });
    return found;
  },
  // what the page itself was caught at: errors, violations, dialogs, requests to elsewhere
  async caught({ page, findings, requests }) {
    const own = new URL(page.url()).origin;
    const violations = await page.evaluate(() => window.violations);
    const elsewhere = requests.filter((url) => !url.startsWith(`${own}/`));
    return [...findings, ...violations.map((message) => ({ check: "violation", message })), ...elsewhere.map((message) => ({ check: "request", message }))];
  },
  // The longest time between two frames since the last time this was asked, in milliseconds.
  async stall({ page }) {
    return page.evaluate(() => {
      const worst = window.worstFrame ?? 0;
      window.worstFrame = 0;
      if (!window.isWatched) {
        window.isWatched = true;
        let before = performance.now();
        const next = (now) => {
          window.worstFrame = Math.max(window.worstFrame, now - before);
          before = now;
          requestAnimationFrame(next);
        };
        requestAnimationFrame(next);
      }
      return worst;
    });
  },
  // What moves or changes slowly.
  async moving({ page }) {
    return page.evaluate(() => [...document.querySelectorAll("*")].filter((one) => {
      const style = getComputedStyle(one);
      return style.transitionDuration.split(", ").some((time) => parseFloat(time) > 0) || style.animationName !== "none";
    }).map((one) => one.outerHTML.slice(0, 120)));
  },
  // until so many requests had this in their address
  async asked({ page, requests }, it) {
    const count = () => requests.filter((url) => url.includes(it.of)).length;
    while (count() < it.least) await page.waitForRequest((request) => request.url().includes(it.of));
  },
  // the cookies that a script of the page could read
  async cookies({ page }) {
    return page.evaluate(() => document.cookie);
  },
  // the session ends without the page's doing
  async forget({ page }) {
    await page.context().clearCookies();
  },
  async nodes({ page }) {
    return page.evaluate(() => document.querySelectorAll("*").length);
  },
  async shoot({ page }, it) {
    await page.screenshot({ path: it.path, fullPage: it.whole ?? false });
  },
  async close({ page }, it) {
    pages.delete(it.page);
    await page.context().close();
  },
};

async function answer(browser, it) {
  const command = commands[it.do];
  if (!command) throw new Error(`no such command: ${it.do}`);
  const own = it.do === "open" ? browser : pages.get(it.page);
  return (await command(own, it)) ?? null;
}

function say(it) {
  process.stdout.write(`${JSON.stringify(it)}\n`);
}

async function serve(browser, lines) {
  for await (const line of lines) {
    const it = JSON.parse(line);
    try {
      say({ is: await answer(browser, it) });
    } catch (error) {
      const own = pages.get(it.page);
      const shown = await own?.page.innerText("main").catch(() => "");
      say({ failed: `${JSON.stringify(it)}: ${error.message}`, findings: own?.findings ?? [], shown });
    }
  }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { chromium } = JSON.parse((await lines.next()).value);
await withBrowser(chromium, (browser) => serve(browser, { [Symbol.asyncIterator]: () => lines }));
