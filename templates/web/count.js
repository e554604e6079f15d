// Counts, while somebody chooses topics and words, how many papers of the last issue match. Without it a button does.
"use strict";
(() => {
  const form = document.querySelector("form[data-count]");
  const typed = /^(cadence|topic|topics|keywords)-/;
  let timer;
  let asked;

  async function count() {
    asked?.abort();
    asked = new AbortController();
    const how = { method: "POST", headers: { Accept: "application/json" }, signal: asked.signal, credentials: "omit" };
    try {
      const answer = await fetch(form.dataset.count, { ...how, body: new URLSearchParams(new FormData(form)) });
      for (const [slug, words] of answer.ok ? Object.entries(await answer.json()) : []) {
        const place = document.getElementById(`count-${slug}`);
        if (place && place.textContent.trim() !== words) place.textContent = words;
      }
    } catch {
      // another count has begun, or there is no network: what is shown stays
    }
  }

  for (const button of form.querySelectorAll("button[name=count]")) button.hidden = true;
  form.addEventListener("input", (event) => {
    if (!typed.test(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(count, 400);
  });
})();
