// A run that is watched: asks every 2 s how far it is and renews the parts of the page that have changed. People who
// listen hear at most one message per 10 %. A page that has moved on (the run's panel is gone) is loaded anew.

const INTERVAL_MS = 2000;
const said = document.querySelector("[data-said]");
const panel = () => document.querySelector('[data-fragment="job"]');
let last = "";
let heard = Math.floor(Number(panel().dataset.perCent) / 10);

function place(part) {
  const old = document.querySelector(`[data-fragment="${part.dataset.fragment}"]`);
  if (!old || old.isEqualNode(part)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(document.adoptNode(part));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function speak(before) {
  const { perCent, state, label } = panel().dataset;
  const tenth = Math.floor(Number(perCent) / 10);
  if (state !== before) said.textContent = label;
  else if (tenth > heard) said.textContent = `${said.dataset.words}: ${tenth * 10} %`;
  heard = Math.max(heard, tenth);
}

async function renew() {
  const before = panel().dataset.state;
  const answer = await fetch(location.href, { redirect: "error" });
  if (!answer.ok) throw new Error(`status ${answer.status}`); // what was told is not forgotten: asked again
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!fresh.querySelector('[data-fragment="job"]')) {
    location.reload();
    return;
  }
  for (const part of fresh.querySelectorAll("[data-fragment]")) place(part);
  speak(before);
}

async function ask() {
  if (!document.hidden) {
    try {
      const answer = await fetch(panel().dataset.watch, { redirect: "error" });
      const told = answer.ok ? await answer.text() : last;
      if (told !== last) await renew();
      last = told;
    } catch {
      // The server is away, or asks to log in again: the next question, or a reload by hand, will tell.
    }
  }
  setTimeout(ask, INTERVAL_MS);
}

setTimeout(ask, INTERVAL_MS);
