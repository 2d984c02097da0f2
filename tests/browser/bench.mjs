// Looks at pages as people do, and says what it found: `node bench.mjs < visits.json`.
//
// In:  { "chromium": PATH, "proxy"?: URL, "shots"?: FOLDER, "visits": [VISIT, …] }
// VISIT: { "name", "url", "language"?: "fr", "scheme"?: "light" | "dark", "steps"?: [STEP, …], "checks": [NAME, …],
//          "direct"?: past the proxy, "agent"?: USER-AGENT, "marked"?: [[TEXT, TAG], …], "kept"?: [TEXT, …],
//          "hidden"?: WHERE }
//   a STEP is { "click" | "press" | "goto": WHERE } or { "fill": WHERE, "with": TEXT } or { "wait": WHERE }
//   a CHECK is one of checks.mjs; `marked` are texts and the language they must be marked with;
//   `kept` are texts that paper must show; `hidden` is a selector of what is kept from sight on purpose
// Out: [{ "name", "status", "title", "text", "findings": [{ "check", "message", "where"? }], "facts": { … } }, …]
//
// An empty `findings` is what a test wants. The bench ends non-zero only when it could not look.

import { join } from "node:path";
import * as checks from "./checks.mjs";
import { listen, withBrowser } from "./chromium.mjs";

async function stdin() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

function options(task, visit) {
  return {
    locale: visit.language === "en" ? "en-GB" : "fr-FR",
    colorScheme: visit.scheme ?? "light",
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: true,
    ...(visit.agent ? { userAgent: visit.agent } : {}),
    ...(task.proxy && visit.direct !== true ? { proxy: { server: task.proxy, bypass: "<-loopback>" } } : {}),
  };
}

async function step(page, it) {
  if (it.goto) await page.goto(it.goto);
  else if (it.click) await page.click(it.click);
  else if (it.press) await page.keyboard.press(it.press);
  else if (it.fill) await page.fill(it.fill, it.with);
  else if (it.wait) await page.waitForSelector(it.wait);
  else throw new Error(`no such step: ${JSON.stringify(it)}`);
}

async function look(browser, task, visit) {
  const context = await browser.newContext(options(task, visit));
  const findings = [], facts = {}, requests = [];
  try {
    const page = await context.newPage();
    listen(page, findings);
    page.on("request", (request) => requests.push(request.url()));
    const response = await page.goto(visit.url, { waitUntil: "load" });
    for (const it of visit.steps ?? []) await step(page, it);
    for (const name of visit.checks) {
      if (!(name in checks)) throw new Error(`no such check: ${name}`);
      const found = await checks[name](page, visit, facts, requests);
      findings.push(...found.map((finding) => ({ check: name, ...finding })));
    }
    if (task.shots) await shoot(page, task.shots, visit);
    const text = await page.evaluate(() => document.body.innerText);
    return { name: visit.name, status: response?.status() ?? 0, title: await page.title(), text, findings, facts };
  } finally {
    await context.close();
  }
}

// Pictures for whoever wants to look: desk, telephone, paper.
async function shoot(page, folder, visit) {
  const file = (what) => join(folder, `${visit.name}-${what}.png`);
  await page.screenshot({ path: file("desk"), fullPage: true });
  await page.setViewportSize({ width: 320, height: 640 });
  await page.screenshot({ path: file("phone"), fullPage: true });
  await page.setViewportSize({ width: 794, height: 1123 });
  await page.emulateMedia({ media: "print" });
  await page.screenshot({ path: file("paper"), fullPage: true });
}

const task = await stdin();
await withBrowser(task.chromium, async (browser) => {
  const seen = [];
  for (const visit of task.visits) seen.push(await look(browser, task, visit));
  process.stdout.write(`${JSON.stringify(seen, null, 1)}\n`);
});
