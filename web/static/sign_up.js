"use strict";

const form = document.getElementById("sign-up");
const place = document.getElementById("answer");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    const body = JSON.stringify(Object.fromEntries(new FormData(form)));
    const { decision, home } = await ask("/sign-up/", { method: "POST", body });
    place.replaceChildren(decisionCard(decision));
    if (home) {
      const link = element("a", "", "Go on to your home page");
      link.id = "go-on";
      link.href = home;
      place.append(element("p"));
      place.lastChild.append(link);
    }
  } catch (problem) {
    place.replaceChildren(problemCard(problem.message));
    const field = problem.field && form.elements[problem.field];
    if (field) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
    }
  } finally {
    place.hidden = false;
    button.disabled = false;
  }
});
