"use strict";

const source = document.getElementById("data");
let shownScores = [];

function show({ decision, scores }) {
  const today = document.getElementById("today");
  today.replaceChildren(
    decision ? decisionCard(decision) : element("p", "card", "No score yet. Your first one comes with the next daily batch."),
  );
  shownScores = scores;
  drawSparkline(scores);
}

// The chart's height in CSS pixels, and the room for the axes around the line.
const HEIGHT = 160;
const ROOM = { left: 56, right: 16, top: 14, bottom: 26 };
const HEIGHTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1]; // between two lines of the score
const MOST_LINES = 4;
// Room for one date, with its distance to the next one, in CSS pixels.
const DATE_WIDTH = 100;

function svgElement(name, attributes, text) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  if (text !== undefined) created.textContent = text;
  return created;
}

// The range of the scores, from line to line, so that a change is seen however small all scores are.
function scoreRange(scores) {
  const low = Math.min(...scores);
  const high = Math.max(...scores);
  const step = HEIGHTS.find((height) => Math.ceil(high / height) - Math.floor(low / height) <= MOST_LINES);
  const first = Math.max(0, Math.floor(low / step + 1e-9));
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  return { step, first, last };
}

function percent(score, step = 0.001) {
  return `${(100 * score).toFixed(step < 0.01 ? 1 : 0)}\u00a0%`;
}

function drawSparkline(scores) {
  const svg = document.getElementById("sparkline");
  const label = document.getElementById("span");
  svg.replaceChildren();
  if (!scores.length) {
    label.textContent = "None yet.";
    svg.setAttribute("aria-label", "No scores yet");
    return;
  }
  const day = (entry) => entry.as_of.slice(0, 10);
  const newest = scores.at(-1);
  const values = scores.map(({ score }) => score);
  const { step, first, last } = scoreRange(values);
  label.textContent = `${scores.length} ${scores.length === 1 ? "batch" : "batches"}, ${day(scores[0])} to ${day(newest)}. `
    + `Lowest ${percent(Math.min(...values))}, highest ${percent(Math.max(...values))}, newest ${percent(newest.score)}.`;
  svg.setAttribute("aria-label", `Risk by day: ${label.textContent}`);

  const width = svg.clientWidth;
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const [bottom, right] = [HEIGHT - ROOM.bottom, width - ROOM.right];
  const times = scores.map((entry) => Date.parse(entry.as_of));
  const span = times.at(-1) - times[0];
  const x = (time) => (span ? ROOM.left + ((right - ROOM.left) * (time - times[0])) / span : (ROOM.left + right) / 2);
  const y = (score) => bottom - ((bottom - ROOM.top) * (score / step - first)) / (last - first);

  for (let line = first; line <= last; line += 1) {
    const height = y(line * step);
    svg.append(svgElement("line", { x1: ROOM.left, x2: right, y1: height, y2: height, class: line === first ? "axis" : "" }));
    svg.append(svgElement("text", { x: ROOM.left - 8, y: height + 4, "text-anchor": "end" }, percent(line * step, step)));
  }
  const dates = Math.max(1, Math.min(scores.length - 1, Math.floor((right - ROOM.left) / DATE_WIDTH)));
  const shown = new Set(scores.map((_, i) => i).filter((i) => scores.length === 1 || i % Math.ceil((scores.length - 1) / dates) === 0));
  for (const i of shown) {
    const place = x(times[i]);
    const anchor = scores.length === 1 ? "middle" : place > right - DATE_WIDTH / 2 ? "end" : i ? "middle" : "start";
    svg.append(svgElement("line", { x1: place, x2: place, y1: bottom, y2: bottom + 4, class: "axis" }));
    svg.append(svgElement("text", { x: place, y: HEIGHT - 8, "text-anchor": anchor, class: "date" }, day(scores[i])));
  }
  svg.append(svgElement("polyline", { points: scores.map(({ score }, i) => `${x(times[i])},${y(score)}`).join(" ") }));
  scores.forEach((entry, i) => {
    const dot = svgElement("circle", { cx: x(times[i]), cy: y(entry.score), r: entry === newest ? 4 : 2 });
    dot.append(svgElement("title", {}, `${day(entry)}: ${percent(entry.score)}`));
    svg.append(dot);
  });
}

async function refresh() {
  const problem = document.getElementById("problem");
  try {
    show(await ask(source.dataset.url));
    problem.hidden = true;
  } catch (error) {
    problem.textContent = `Not refreshed: ${error.message}`;
    problem.hidden = false;
  }
}

addEventListener("resize", () => drawSparkline(shownScores));
show(JSON.parse(source.textContent));
setInterval(refresh, 1000 * Number(source.dataset.refreshSeconds));
