// Makes the three sizes with sharp, once for each line on stdin: {"way", "path", "out"?}.
// Answers each with its CPU seconds (user and system, all threads) and the sizes in bytes.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// The package is installed outside of the sources, in the folder given.
const sharp = createRequire(`${process.argv[2]}/`)("sharp");
const SIZES = [1280, 640, 320];
const box = (side) => [side, side, { fit: "inside", withoutEnlargement: true }];

// What the documentation shows: one pipeline for each size, everything at its default.
async function defaults(path) {
  return Promise.all(SIZES.map((side) => sharp(path).rotate().resize(...box(side)).webp().toBuffer()));
}

// One decode, raw pixels from size to size, the same encoder effort as ours.
async function tuned(path, effort) {
  const made = [];
  let next = sharp(path).rotate();
  for (const side of SIZES) {
    const { data, info } = await next.resize(...box(side)).raw().toBuffer({ resolveWithObject: true });
    const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
    made.push(sharp(data, raw).webp({ quality: 80, effort }).toBuffer());
    next = sharp(data, raw);
  }
  return Promise.all(made);
}

const WAYS = {
  "sharp default": defaults,
  "sharp tuned": (path) => tuned(path, 4),
  "sharp tuned, our effort": (path) => tuned(path, Number(process.argv[3])),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { way, path, out } = JSON.parse(line);
  const before = process.cpuUsage();
  const started = performance.now();
  const made = await WAYS[way](path);
  const { user, system } = process.cpuUsage(before);
  const wall = (performance.now() - started) / 1000;
  if (out) made.forEach((content, at) => writeFileSync(`${out}-${SIZES[at]}.webp`, content));
  console.log(JSON.stringify({ cpu: (user + system) / 1e6, wall, sizes: made.map((m) => m.length) }));
}
