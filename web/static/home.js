"use strict";

const source = document.getElementById("data");

function show({ decision, scores }) {
  const today = document.getElementById("today");
  today.replaceChildren(
    decision ? decisionCard(decision) : element("p", "card", "No score yet. Your first one comes with the next daily batch."),
  );
  drawSparkline(scores);
}

// Score 0 is at the bottom and 1 at the top. A dot marks the newest score.
function drawSparkline(scores) {
  const svg = document.getElementById("sparkline");
  svg.replaceChildren();
  document.getElementById("span").textContent = scores.length
    ? `${scores.length} batches, ${scores[0].as_of.slice(0, 10)} to ${scores.at(-1).as_of.slice(0, 10)}; bottom 0 %, top 100 %`
    : "None yet.";
  if (!scores.length) return;
  const x = (i) => 10 + (580 * i) / Math.max(1, scores.length - 1);
  const y = (score) => 110 - 100 * score;
  const svgElement = (name, attributes) => {
    const created = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
    return created;
  };
  svg.append(
    svgElement("polyline", { points: scores.map(({ score }, i) => `${x(i)},${y(score)}`).join(" ") }),
    svgElement("circle", { cx: x(scores.length - 1), cy: y(scores.at(-1).score), r: 4 }),
  );
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

show(JSON.parse(source.textContent));
setInterval(refresh, 1000 * Number(source.dataset.refreshSeconds));
