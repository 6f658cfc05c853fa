"use strict";

const watch = document.getElementById("watch");
const rows = new Map(); // location → its row, which stays, so that its bar can be seen to move

// So many attempts fill a bar, unless one location has more.
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
    if (!locations.some((one) => one.location === location)) {
      rows.get(location).remove();
      rows.delete(location);
    }
  }
  const body = document.querySelector("#locations tbody");
  locations.forEach((one, place) => {
    if (!rows.has(one.location)) rows.set(one.location, locationRow(one.location));
    const row = rows.get(one.location);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
    const [, bar, attempts, failures, newest] = row.children;
    bar.querySelector(".attempts").style.width = `${(100 * one.attempts) / full}%`;
    bar.querySelector(".failures").style.width = `${(100 * one.failures) / full}%`;
    attempts.textContent = one.attempts;
    failures.textContent = one.failures;
    newest.replaceChildren(...(one.attempts ? [badge(one)] : [])); // of a quiet place it would be an old one
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
  setTimeout(refresh, 1000 * Number(watch.dataset.refreshSeconds)); // after the answer: a slow service is asked less
}

refresh();
