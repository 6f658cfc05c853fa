"use strict";

const watch = document.getElementById("watch");
const rows = new Map(); // location → its row. Rows are kept, so that the bars move smoothly

// This many attempts fill a bar, unless a location has more.
const FULL = 20;

function locationRow(location) {
  const row = element("tr");
  row.dataset.location = location;
  const bar = element("td", "wide");
  bar.append(element("div", "bar"));
  bar.firstChild.append(element("div", "attempts"), element("div", "failures"));
  row.append(element("td", "", location), bar, element("td", "number"), element("td", "number"), element("td"));
  return row;
}

function showLocations(locations) {
  const full = Math.max(FULL, ...locations.map(({ attempts }) => attempts));
  for (const location of [...rows.keys()]) {
    if (!locations.some((shown) => shown.location === location)) {
      rows.get(location).remove();
      rows.delete(location);
    }
  }
  const body = document.querySelector("#locations tbody");
  locations.forEach((entry, index) => {
    if (!rows.has(entry.location)) rows.set(entry.location, locationRow(entry.location));
    const row = rows.get(entry.location);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
    const [, bar, attempts, failures, newest] = row.children;
    bar.querySelector(".attempts").style.width = `${(100 * entry.attempts) / full}%`;
    bar.querySelector(".failures").style.width = `${(100 * entry.failures) / full}%`;
    attempts.textContent = entry.attempts;
    failures.textContent = entry.failures;
    newest.replaceChildren(...(entry.attempts ? [badge(entry)] : [])); // without attempts the decision would be an old one
  });
}

function badge({ decision, look }) {
  return element("span", "badge " + look, decision);
}

function decisionRow(decision) {
  const row = element("tr", decision.look);
  row.append(
    element("td", "number", decision.as_of.slice(11, 19)),
    element("td", "", decision.location),
    element("td", "", decision.device),
    element("td", "code", decision.coupon),
    element("td"),
    element("td", "number", `${(decision.score * 100).toFixed(1)} %`),
    element("td", "wide", decision.reason),
  );
  row.children[4].append(badge(decision));
  return row;
}

function show({ since, waiting_seconds, locations, decisions }) {
  document.getElementById("nothing").hidden = decisions.length > 0;
  watch.hidden = !decisions.length;
  document.getElementById("waiting").hidden = waiting_seconds === null;
  document.getElementById("waiting-seconds").textContent = Math.round(waiting_seconds ?? 0);
  document.getElementById("since").textContent = `counted from ${since.slice(11, 16)} UTC on`;
  showLocations(locations);
  document.querySelector("#decisions tbody").replaceChildren(...decisions.map(decisionRow));
}

async function refresh() {
  const problem = document.getElementById("problem");
  try {
    show(await ask(watch.dataset.url));
    problem.hidden = true;
  } catch (error) {
    problem.textContent = `Not refreshed: ${error.message}`;
    problem.hidden = false;
  }
  setTimeout(refresh, 1000 * Number(watch.dataset.refreshSeconds)); // after the answer, so that a slow service gets fewer requests
}

document.getElementById("address").textContent = location.origin;
refresh();
