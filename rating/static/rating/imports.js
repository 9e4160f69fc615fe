// The check of a file: asks every 2 s how far it is, and shows the new page when it has ended. A bar never goes back;
// people who listen hear at most one message per 10 %.

const INTERVAL_MS = 2000;
const place = document.querySelector("[data-progress]");
const bar = place.querySelector("progress");
const said = place.querySelector("[data-said]");
let heard = 0;

function show({ per_cent: perCent, interrupted }) {
  const value = Math.max(perCent, bar.value);
  bar.value = value;
  place.querySelector("[data-per-cent]").textContent = value;
  place.querySelector("[data-interrupted]").hidden = !interrupted;
  if (Math.floor(value / 10) > heard) {
    heard = Math.floor(value / 10);
    said.textContent = `${said.dataset.words}: ${heard * 10} %`;
  }
}

async function ask() {
  if (document.hidden) {
    setTimeout(ask, INTERVAL_MS);
    return;
  }
  try {
    const answer = await fetch(place.dataset.progress, { headers: { "X-Requested-With": "fetch" }, redirect: "error" });
    if (answer.ok) {
      const told = await answer.json();
      if (told.ended || told.state !== place.dataset.state) {
        location.reload();
        return;
      }
      show(told);
    }
  } catch {
    // The server is away, or asks to log in again: the next question, or a reload by hand, will tell.
  }
  setTimeout(ask, INTERVAL_MS);
}

setTimeout(ask, INTERVAL_MS);
