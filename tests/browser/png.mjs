// Makes a PNG smaller without a loss that anybody sees: at most 256 colours, and the best compression. Chromium writes true colour, fast.
//
// PNG: W3C Recommendation, third edition. Colours beyond 256 (there are some where letters meet their ground) become their nearest.

import { crc32, deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const MOST_COLOURS = 256;

/** The same picture with a palette. Takes what Chromium writes: 8 bits, RGB or RGBA, not interlaced. */
export function small(png) {
  const { width, height, pixels } = read(png);
  const colours = palette(pixels);
  const nearest = new Map(colours.map((colour, at) => [colour, at]));
  const rows = Buffer.alloc((width + 1) * height); // filter 0 before each row
  for (let y = 0, from = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, from += 1) rows[y * (width + 1) + 1 + x] = index(pixels[from], colours, nearest);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8);
  const table = Buffer.from(colours.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]));
  return Buffer.concat([
    SIGNATURE, chunk("IHDR", header), chunk("PLTE", table),
    chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })), chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** Width, height, and each pixel as 0xRRGGBB. */
function read(png) {
  const data = [];
  let header;
  for (let at = SIGNATURE.length; at < png.length;) {
    const length = png.readUInt32BE(at);
    const kind = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") header = body;
    if (kind === "IDAT") data.push(body);
    at += length + 12;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const samples = { 2: 3, 6: 4 }[header[9]];
  if (header[8] !== 8 || !samples || header[12] !== 0) throw new Error("not a PNG as Chromium writes it");
  return { width, height, pixels: unfilter(inflateSync(Buffer.concat(data)), width, height, samples) };
}

/** Takes the filters of the rows back (section 9 of the recommendation). */
function unfilter(raw, width, height, samples) {
  const stride = width * samples;
  const pixels = new Uint32Array(width * height);
  let above = Buffer.alloc(stride);
  for (let y = 0; y < height; y += 1) {
    const kind = raw[y * (stride + 1)];
    const row = Buffer.from(raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    for (let at = 0; at < stride; at += 1) {
      const left = at >= samples ? row[at - samples] : 0;
      const corner = at >= samples ? above[at - samples] : 0;
      row[at] = (row[at] + [0, left, above[at], (left + above[at]) >> 1, paeth(left, above[at], corner)][kind]) & 255;
    }
    for (let x = 0; x < width; x += 1) {
      const at = x * samples;
      pixels[y * width + x] = (row[at] << 16) | (row[at + 1] << 8) | row[at + 2];
    }
    above = row;
  }
  return pixels;
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const [a, b, c] = [left, above, corner].map((it) => Math.abs(guess - it));
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

/** The colours that are there most. */
function palette(pixels) {
  const counts = new Map();
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return sorted.slice(0, MOST_COLOURS).map(([colour]) => colour);
}

function index(pixel, colours, nearest) {
  const known = nearest.get(pixel);
  if (known !== undefined) return known;
  const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];
  const [r, g, b] = parts(pixel);
  let best = 0, least = Infinity;
  colours.forEach((colour, at) => {
    const [r2, g2, b2] = parts(colour);
    const distance = (r - r2) ** 2 + (g - g2) ** 2 + (b - b2) ** 2;
    if (distance < least) [best, least] = [at, distance];
  });
  nearest.set(pixel, best);
  return best;
}

function chunk(kind, body) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length, 0);
  head.write(kind, 4, "latin1");
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), body])), 0);
  return Buffer.concat([head, body, check]);
}
