// Debian's Chromium as the benches start it, and what any page says by itself.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];

// Runs `work` with a browser whose home is its own.
export async function withBrowser(executablePath, work) {
  const profile = await mkdtemp(join(tmpdir(), "octroi-browser-"));
  const browser = await chromium.launch({
    executablePath,
    args: FLAGS,
    chromiumSandbox: false,
    env: { ...process.env, HOME: profile },
  });
  try {
    return await work(browser);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}

// What the page says by itself: violations of its security policy, scripts that break, dialogs.
export function listen(page, findings) {
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
