// Takes the pictures of README from the running program: `node screenshots.mjs OCTROI FOLDER`.
//
// Starts `octroi demo` on free ports, waits until the month has gone far enough, and looks: at the console, and at the page of somebody
// who was refused. Nothing is drawn in: what the pictures show is what the program shows.

import { spawn } from "node:child_process";
import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { withBrowser } from "./chromium.mjs";
import { small } from "./png.mjs";

/** Until when the month is played: a rule has been misspelt, a derogation has ended and come again. */
const FAR_ENOUGH = "Fri 19";
const MOST_BYTES = 150_000;
/** What is looked at (behind the admin listener's address, or through the gate), how, and what must be there first. */
const PICTURES = [
  { name: "console-policy", language: "en", scheme: "light", at: "#policy", wait: "#policy-rejected:not([hidden])", height: 760 },
  {
    name: "console-explain", language: "fr", scheme: "dark", wait: "#explain-answer pre", height: 860,
    at: "#explain?url=https%3A%2F%2Fcourrier.prefecture.example%2F&source=127.15.1.2",
  },
  { name: "refusal", language: "fr", scheme: "light", refused: "http://courrier.prefecture.example/", wait: "h1", height: 860 },
  { name: "console-live", language: "en", scheme: "light", at: "#live", wait: "#attempts tr:nth-child(12)", mixed: 6, height: 800 },
];

const [octroi, folder] = process.argv.slice(2);
if (!octroi || !folder) throw new Error("usage: node screenshots.mjs OCTROI FOLDER");

/** Runs `work` beside a demonstration; gives it where that is. */
async function beside(work) {
  const flags = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--month-seconds", "40"];
  const demo = spawn(octroi, flags, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(demo, "exit");
  const said = [];
  try {
    for await (const line of createInterface({ input: demo.stderr })) {
      said.push(line);
      if (line.startsWith(FAR_ENOUGH)) break;
    }
    const find = (pattern) => {
      const found = said.join("\n").match(pattern);
      if (!found) throw new Error(`octroi demo says no ${pattern}:\n${said.join("\n")}`);
      return found[1];
    };
    await work(find(/console +(\S+)/), find(/curl -k -x (\S+)/));
  } finally {
    demo.kill("SIGTERM");
    await ended;
  }
}

/**
 * Whether the first rows tell of something allowed, something observed and something refused, and not of one workload alone. Then the list
 * is paused: while a picture is taken a hundred others would come.
 */
function areMixed(count) {
  const rows = [...document.querySelectorAll("#attempts tr")].slice(0, count);
  const texts = (column) => new Set(rows.map((row) => row.cells[column].innerText.trim()));
  const mixed = texts(1).size === 3 && texts(2).size >= count - 1;
  if (mixed) document.getElementById("pause").click();
  return mixed;
}

async function take(browser, picture, console, proxy) {
  const context = await browser.newContext({
    locale: picture.language === "en" ? "en-GB" : "fr-FR",
    colorScheme: picture.scheme,
    viewport: { width: 1200, height: picture.height },
    reducedMotion: "reduce",
    timezoneId: "Europe/Paris",
    ...(picture.refused ? { proxy: { server: proxy, bypass: "<-loopback>" } } : {}),
  });
  try {
    const page = await context.newPage();
    await page.goto(picture.refused ?? new URL(picture.at, console).href);
    if (picture.name === "console-explain") await page.click("#explain-submit");
    await page.locator(picture.wait).first().waitFor();
    if (picture.mixed) await page.waitForFunction(areMixed, picture.mixed, { polling: "raf", timeout: 60_000 });
    const path = join(folder, `${picture.name}.png`);
    const bytes = small(await page.screenshot());
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
    const { size } = await stat(path);
    if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MOST_BYTES}`);
    process.stdout.write(`${path} ${size}\n`);
  } finally {
    await context.close();
  }
}

await mkdir(folder, { recursive: true });
await beside((console, proxy) => withBrowser("/usr/bin/chromium", async (browser) => {
  for (const picture of PICTURES) await take(browser, picture, console, proxy);
}));
