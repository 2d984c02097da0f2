// Looks at pages as people do, and says what it found: `node bench.mjs < visits.json`.
//
// In:  { "chromium": PATH, "proxy"?: URL, "shots"?: FOLDER, "visits": [VISIT, …] }
// VISIT: { "name", "url", "language"?: "fr", "scheme"?: "light" | "dark", "steps"?: [STEP, …], "checks": [NAME, …],
//          "direct"?: past the proxy, "agent"?: USER-AGENT, "marked"?: [[TEXT, TAG], …], "kept"?: [TEXT, …] }
//   a STEP is { "click" | "press" | "goto": WHERE } or { "fill": WHERE, "with": TEXT } or { "wait": WHERE }
//   a CHECK is one of checks.mjs; `marked` are texts and the language they must be marked with;
//   `kept` are texts that paper must show
// Out: [{ "name", "status", "title", "text", "findings": [{ "check", "message", "where"? }], "facts": { … } }, …]
//
// An empty `findings` is what a test wants. The bench ends non-zero only when it could not look.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import * as checks from "./checks.mjs";

const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];

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

// What the page says by itself: violations of its security policy, scripts that break, dialogs.
async function listen(page, findings) {
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) findings.push({ check: "csp", message: message.text() });
    else if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      findings.push({ check: "console", message: message.text() });
    }
  });
  page.on("pageerror", (error) => findings.push({ check: "script", message: String(error) }));
  page.on("dialog", (dialog) => {
    findings.push({ check: "dialog", message: dialog.message() });
    dialog.dismiss();
  });
}

async function look(browser, task, visit) {
  const context = await browser.newContext(options(task, visit));
  const findings = [], facts = {}, requests = [];
  try {
    const page = await context.newPage();
    await listen(page, findings);
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
const profile = await mkdtemp(join(tmpdir(), "octroi-browser-"));
const browser = await chromium.launch({
  executablePath: task.chromium,
  args: FLAGS,
  chromiumSandbox: false,
  env: { ...process.env, HOME: profile },
});
try {
  const seen = [];
  for (const visit of task.visits) seen.push(await look(browser, task, visit));
  process.stdout.write(`${JSON.stringify(seen, null, 1)}\n`);
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
