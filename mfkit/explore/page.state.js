"use strict";
// Everything was computed beforehand: a click only picks other numbers and draws them.
// This file knows the numbers and the state; the next one draws them.

const data = JSON.parse(document.getElementById("data").textContent);
const { names, height, width, parts, flows } = data;
const size = height * width; // positions of a view
const KINDS = { score: "score", agreement: "agreement", change: "change" };
const START = { part: 0, change: "", map: "score", outline: true, opacity: 0.6 };
const talking = flows.findLastIndex((flow) => flow.edges.length); // its arrows are drawn
let state;

// ---- small tools

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function number(value, digits = 2) {
  const text = value.toFixed(digits);
  return (parseFloat(text) ? text : text.replace("-", "")).replace("-", "\u2212");
}

function signed(value, digits = 2) {
  return (parseFloat(value.toFixed(digits)) > 0 ? "+" : "") + number(value, digits);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// ---- what a flow says

const unpacked = new Map(); // by part, flow and change

function stored(part, flow, key) {
  const name = `${part} ${flow} ${key}`;
  if (!unpacked.has(name)) {
    const [low, unit, end] = data.scale;
    const raw = bytes(parts[part].maps[flow][key]);
    const steps = new DataView(raw.buffer);
    unpacked.set(name, Float32Array.from({ length: names.length * size },
      (_, place) => low + unit * Math.expm1((steps.getUint16(2 * place, true) * end) / 65535)));
  }
  return unpacked.get(name);
}

// "swap-C2-1" -> what is done, the names after it
function parsed(change) {
  const [what, ...which] = change.split("-");
  return { what, which };
}

// The part that a view is taken from, and null where the camera is missing.
function source(part, change, view) {
  const { what, which } = parsed(change);
  const here = which[0] === names[view];
  if (what === "gone" && here) return null;
  const from = what === "swap" && here ? parts[part].donors[which[1] - 1] : part;
  return parts[from].present[view] ? from : null;
}

// Which positions of a view show the object; all of them if none is known to.
function counting(part, view) {
  if (!parts[part].counts) return () => true;
  parts[part].seen ??= bytes(parts[part].counts);
  const seen = parts[part].seen.subarray(view * size, (view + 1) * size);
  return seen.some((shown) => shown) ? (_, place) => seen[place] > 0 : () => true;
}

// The average of each position and its neighbours, as far as there are any.
function around(values) {
  return values.map((_, place) => {
    const row = Math.floor(place / width), column = place % width;
    let sum = 0, count = 0;
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
        sum += values[y * width + x];
        count += 1;
      }
    }
    return sum / count;
  });
}

// In spreads above what is usual at a place for sound parts of the training.
function unusual(gap, flow, view) {
  flows[flow].usually ??= Object.fromEntries(Object.entries(flows[flow].usual)
    .map(([name, text]) => [name, new Float32Array(bytes(text).buffer)]));
  const { mean: middle, spread } = flows[flow].usually;
  return around(gap).map((value, place) =>
    (value - middle[view * size + place]) / spread[view * size + place]);
}

const highestOf = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);

// Scores of a part in some change: for every view a map, and numbers; null where it is absent, and
// where no message is heard, so that nothing is known about agreement.
function answer(part, flow, change) {
  const { maps } = parts[part];
  const heard = flows[flow].edges.length && change !== "silent";
  const views = names.map((_, view) => {
    const from = source(part, change, view);
    if (from === null) return null;
    const cut = (values) => values.subarray(view * size, (view + 1) * size);
    const key = "silent" in maps[flow] ? "silent" : ""; // alone, a view knows of no other
    const alone = cut(stored(from, flow, key));
    const said = change in maps[flow] ? cut(stored(part, flow, change))
      : parsed(change).what === "mute" ? cut(stored(part, flow, "")) : alone;
    const shown = counting(from, view);
    const object = said.filter(shown), lowest = -highestOf(object.map((value) => -value));
    const gap = said.map((value, place) => value - alone[place]);
    const agreement = heard ? unusual(gap, flow, view) : gap.map(() => 0);
    return {
      from, alone, gap, agreement,
      score: said.map((value, place) => shown(value, place) ? value : lowest),
      image: highestOf(object),
      agrees: heard ? highestOf(agreement.filter(shown)) : null,
    };
  });
  const there = views.filter((view) => view !== null);
  return {
    views,
    max: highestOf(there.map((view) => view.image)),
    mean: mean(there.map((view) => view.image)),
    agreement: heard ? highestOf(there.map((view) => view.agrees)) : null,
  };
}

// Where the last flow gives a part its highest score: there one begins to look.
function highest(part) {
  const { views } = answer(part, flows.length - 1, "");
  const images = views.map((seen) => seen?.image ?? -Infinity);
  const view = images.indexOf(Math.max(...images));
  const place = views[view].score.indexOf(images[view]);
  return { view, row: Math.floor(place / width), column: place % width };
}

// ---- the state lives in the address

function address(of) {
  const words = new URLSearchParams({ part: parts[of.part].name });
  if (of.change) words.set("change", of.change);
  words.set("view", names[of.view]);
  words.set("at", `${of.row},${of.column}`);
  if (of.map !== START.map) words.set("map", of.map);
  if (of.outline !== START.outline) words.set("outline", "0");
  if (of.opacity !== START.opacity) words.set("opacity", of.opacity);
  return "#" + words.toString().replaceAll("%2C", ",");
}

// What an address does not say, or says of nothing that is here, is as at the beginning.
function restored(hash) {
  const words = new URLSearchParams(hash.slice(1));
  const among = (list, value, other) => (list.includes(value) ? list.indexOf(value) : other);
  const within = (value, most) => Math.min(Math.max(parseInt(value, 10) || 0, 0), most - 1);
  const part = among(parts.map(({ name }) => name), words.get("part"), START.part);
  const change = words.get("change") ?? "";
  const view = among(names, words.get("view"), highest(part).view);
  const [row, column] = (words.get("at") ?? "").split(",");
  const at = words.has("at") ? { row: within(row, height), column: within(column, width) }
    : highest(part).view === view ? highest(part) : { row: 0, column: 0 };
  const opacity = parseFloat(words.get("opacity"));
  return {
    part,
    change: changes(part).includes(change) ? change : "",
    row: at.row,
    column: at.column,
    view,
    map: Object.hasOwn(KINDS, words.get("map")) ? words.get("map") : START.map,
    outline: words.get("outline") !== "0",
    opacity: opacity >= 0 && opacity <= 1 ? opacity : START.opacity,
  };
}

function changes(part) {
  const edges = talking < 0 ? [] : flows[talking].edges;
  const { donors, present } = parts[part];
  return [
    ...(edges.length ? ["silent"] : []),
    ...edges.map(([from, to]) => `mute-${names[from]}-${names[to]}`),
    ...names.flatMap((name) => donors.map((_, place) => `swap-${name}-${place + 1}`)),
    ...names.filter((_, view) => present.some((there, other) => there && other !== view))
      .map((name) => `gone-${name}`),
  ];
}

function set(patch) {
  state = { ...state, ...patch };
  if (!changes(state.part).includes(state.change)) state.change = "";
  if (address(state) !== location.hash) location.hash = address(state);
  draw();
}

const toggle = (change) => set({ change: state.change === change ? "" : change });
