"use strict";

// Loads the part of the page that is marked as live again, as the server renders it. A hidden page waits.

const live = document.querySelector("[data-refresh-seconds]");
const problem = document.getElementById("problem");

async function refresh() {
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) throw new Error(`The service answers ${answer.status}. Load the page again.`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceChildren(...page.getElementById(live.id).childNodes);
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The service does not answer." : error.message;
    problem.hidden = false;
  }
}

if (live) setInterval(refresh, 1000 * live.dataset.refreshSeconds);
