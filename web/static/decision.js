"use strict";

// Shows a decision with its reasons. Text goes in as text, never as HTML.

const OUTCOMES = {
  approve: "Approved",
  review: "A person will look at it",
  decline: "Declined",
};

function element(name, className, text) {
  const created = document.createElement(name);
  if (className) created.className = className;
  if (text !== undefined) created.textContent = text;
  return created;
}

function signed(number) {
  return (number > 0 ? "+" : number < 0 ? "−" : "±") + Math.abs(number).toFixed(2);
}

function decisionCard(decision) {
  const card = element("article", "card " + decision.decision);
  card.append(element("p", "outcome", OUTCOMES[decision.decision]));
  card.append(element("div", "quiet", `Risk ${(decision.score * 100).toFixed(1)} %`));
  const reasons = element("ul", "reasons");
  for (const reason of decision.reasons) {
    const item = element("li");
    item.dataset.code = reason.code;
    item.append(element("span", "", reason.text));
    const weight = element("span", "contribution", signed(reason.contribution));
    weight.title = "Added to the log-odds of the score";
    item.append(weight);
    reasons.append(item);
  }
  card.append(reasons);
  const facts = element("dl");
  for (const [name, value] of [
    ["Decision", decision.decision_id],
    ["As of", new Date(decision.as_of).toISOString().slice(0, 19).replace("T", " ") + " UTC"],
    ["Model", `${decision.model.name} ${decision.model.version}`],
    ...(decision.policy ? [["Policy", decision.policy.version]] : []), // an older batch decision names none
  ]) facts.append(element("dt", "", name), element("dd", "", value));
  card.append(facts);
  return card;
}

function problemCard(message) {
  const card = element("article", "card problem");
  card.append(element("p", "outcome", "That did not work"), element("p", "", message));
  return card;
}

async function ask(url, options) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  const csrf = document.querySelector("meta[name=csrf-token]");
  if (csrf) headers["X-CSRF-Token"] = csrf.content; // of the session, where somebody has signed in
  let answer;
  let response;
  try {
    response = await fetch(url, { ...options, headers });
    answer = await response.json();
  } catch {
    throw new Error("The service does not answer. Try again in a moment.");
  }
  if (!response.ok) throw Object.assign(new Error(answer.error.message), { field: answer.error.field });
  return answer;
}
